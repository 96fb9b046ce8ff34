"""`iothub`: the pipeline on one machine, and the tools that a person reaches for. Also ``kubectl iothub``."""
