"""Every picture and table, the page of a run, and the lessons run by papermill."""
