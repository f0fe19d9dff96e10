"""Keeping a table of material codes clean: bring parts in, find the ones that stand in it twice."""
