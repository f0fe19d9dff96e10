"""A catalogue into a table as a pandas user writes it: pandas_refresh.py CATALOGUE.csv DATABASE_URL.

No row is checked, nothing is compared: the table is replaced. With the packages pandas, sqlalchemy, psycopg.
"""

import sys

import pandas as pd
from sqlalchemy import create_engine

rows = pd.read_csv(sys.argv[1], parse_dates=["add_time"]).drop_duplicates("code", keep="last")
with create_engine(sys.argv[2]).begin() as connection:
    rows.to_sql("parts_peer", connection, if_exists="replace", index=False, chunksize=10_000)
    connection.exec_driver_sql("CREATE UNIQUE INDEX parts_peer_code ON parts_peer (code)")
    connection.exec_driver_sql("CREATE INDEX parts_peer_add_time ON parts_peer (add_time)")
