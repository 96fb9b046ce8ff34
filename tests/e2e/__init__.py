"""End to end: the chart on a real cluster, with devices that publish and remember what was acknowledged."""
