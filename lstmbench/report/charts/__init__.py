"""The charts of a run, drawn by Altair and vl-convert; each is one of `chart.Chart`."""
