"""Many runs as one call: planned, cached, run in parallel, and answered as tidy tables (`optlab.study`)."""

from optlab.core.records.tables import Table
from optlab.core.studies.profiles import Profile
from optlab.core.studies.running import study
from optlab.core.studies.runs import Study, StudyRun

__all__ = ["Profile", "Study", "StudyRun", "Table", "study"]
