"""A catalogue into a table as a polars user writes it: polars_refresh.py CATALOGUE.csv DATABASE_URL.

No row is checked, nothing is compared: the table is replaced. With the packages polars, pandas, pyarrow, sqlalchemy,
psycopg.
"""

import sys

import polars as pl
from sqlalchemy import create_engine

rows = pl.read_csv(sys.argv[1], try_parse_dates=True).unique("code", keep="last", maintain_order=True)
engine = create_engine(sys.argv[2])
rows.write_database("parts_peer", engine, if_table_exists="replace")
with engine.begin() as connection:
    connection.exec_driver_sql("CREATE UNIQUE INDEX parts_peer_code ON parts_peer (code)")
    connection.exec_driver_sql("CREATE INDEX parts_peer_add_time ON parts_peer (add_time)")
