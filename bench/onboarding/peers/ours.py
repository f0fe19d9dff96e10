"""A catalogue through the service of `maintenance.refresh_onboard_table`: ours.py CATALOGUE.csv DATABASE_URL"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from bench.onboarding.__main__ import parts, refresh

source = Path(sys.argv[1])
engine = create_engine(sys.argv[2])
parts.drop(engine, checkfirst=True)
parts.create(engine)
with Session(engine) as session, session.begin():
    refresh(session, source, source.parent)
