"""The programs that are measured, ours and the peers', each run as ``python -m benchmarks.programs.NAME``.

They run in different environments, so what they share (`stopwatch`, `task`, `checks`) needs the standard library and
orjson alone.
"""
