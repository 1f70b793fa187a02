"""Problems of equilibrium: matrix games, saddle points, preference games, finite sums of operators."""
