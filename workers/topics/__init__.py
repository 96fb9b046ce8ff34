"""Making and growing the topics: ``python -m topics FILE``, the job that a chart runs."""
