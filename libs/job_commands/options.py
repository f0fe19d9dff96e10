"""Options and arguments that several commands have."""

import click

as_json = click.option(
    "--json", "as_json", is_flag=True, help="For scripts: JSON on standard output and nothing else."
)
timeout = click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer.")
wait = click.option("--wait", is_flag=True, help="Wait for its end; print its result.")
task_id = click.argument("task_id")
terminate = click.option("--terminate", is_flag=True, help="Have the process of a running job ended.")
