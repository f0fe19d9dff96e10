"""Whether the database has the tables that this code wants."""

from functools import cache

from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def is_behind(connection: Connection, migrations: str) -> bool:
    """Whether ``manage.py db upgrade`` has something to do, by the database's own word (``alembic_version``).

    Not for a revision that is unknown here: in a rolling deploy the old code goes on for a while on new tables. Nor
    for a database that has never been migrated, whose tables somebody has made otherwise.

    Args:
        migrations: the folder of the migrations.
    """
    revisions, heads = _revisions(migrations)
    current = set(MigrationContext.configure(connection).get_current_heads())
    return bool(current) and current <= revisions and current != heads


@cache
def _revisions(migrations: str) -> tuple[frozenset[str], frozenset[str]]:
    """All of them, and the newest."""
    config = AlembicConfig()
    config.set_main_option("script_location", migrations)
    scripts = ScriptDirectory.from_config(config)
    return frozenset(script.revision for script in scripts.walk_revisions()), frozenset(scripts.get_heads())
