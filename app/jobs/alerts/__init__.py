"""Digests by mail: the jobs that have failed, the rows rejected and the duplicates found since the last one."""
