"""Policy mirror descent with function approximation: DAPO and its relatives, their inner solvers and losses."""
