"""Taskgate: an HTTP API for jobs that Celery workers run. This module is wiring only."""

from werkzeug.middleware.proxy_fix import ProxyFix

from app import (
    access_log,
    api_1_0,
    auth,
    console,
    cross_origin,
    docs_page,
    errors,
    files,
    jobs,
    metrics,
    rate_limits,
    request_context,
    security_headers,
    service_pages,
    tracing,
    webhooks,
)
from app.application import ServiceFlask
from app.extensions import db, migrate
from app.job_tokens import JobTokens
from app.jobs.celery_settings import CELERY_SETTINGS
from app.jobs.monitoring.settings import monitor_targets
from app.jobs.schedules import SCHEDULES
from app.mail import read_mail_settings
from app.secret_key import stored_secret_key
from config import Config, ConfigError, load_config
from libs.flask_celery import (
    CelerySettings,
    JobFollowers,
    Role,
    SubmissionTerms,
    TellingSettings,
    WatchHub,
    import_jobs,
    make_celery,
)


def create_app(config: Config | None = None) -> ServiceFlask:
    """Build the application. Connects to nothing; makes the data directory when it is missing.

    Raises: ConfigError, SettingError: a setting that cannot be used, by its name.
    """
    config = config or load_config()
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"DATA_DIR wants a directory that can be made: {error}.") from error
    app = ServiceFlask("taskgate", root_path=__path__[0], static_folder=None)
    app.config.update(
        TESTING=config.testing,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True},
        MAX_CONTENT_LENGTH=config.max_body,
        MAX_BATCH_BODY=config.max_batch_body,
        MAX_UPLOAD=config.max_upload,
        TIMEZONE=config.timezone,
        TASKGATE=config,
    )
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # no redirects, which would be to whatever host the client has named
    db.init_app(app)
    migrate.init_app(app, db, directory=f"{__path__[0]}/migrations")
    files.init_app(app, config)
    auth.init_app(app)
    if Role(config.role) is Role.API:  # a worker knows no caller and signs nothing
        app.extensions["job_tokens"] = JobTokens(_secret_keys(config), ttl=config.access_token_ttl)
    request_context.init_app(app)
    job_tracing = tracing.init_app(app, config)
    errors.init_app(app)
    security_headers.init_app(app, hsts=config.hsts)
    cross_origin.init_app(app, config.cors_origins)
    app.extensions["monitor_targets"] = monitor_targets(config)
    import_jobs(jobs)
    celery_app = make_celery(
        app,
        CelerySettings(
            broker_url=config.broker_url,
            result_url=config.result_url,
            role=Role(config.role),
            timezone=config.timezone.key,
            result_expires=config.result_expires,
            result_limit=config.result_limit,
            deployment=config.deployment,
            strict_redis=config.strict_redis,
            heartbeat_file=config.worker_heartbeat_file,
            terms=SubmissionTerms(
                queue_limit=config.queue_limit,
                owner_limit=config.owner_limit,
                idempotency_ttl=config.idempotency_ttl,
            ),
            schedules=SCHEDULES,
            schedule_grace=config.schedule_grace,
            code=CELERY_SETTINGS,
            overrides=config.celery,
            allow_pickle=config.allow_pickle,
        ),
    )
    celery_app.tracing = job_tracing
    celery_app.telling = TellingSettings(config.progress_rate, config.log_lines, config.log_bytes)
    webhooks.init_app(app, config, lambda: _secret_keys(config), api_1_0.represent_job)
    app.extensions["alerts"] = read_mail_settings(config.smtp_url, config.alert_from, config.alert_to)
    app.extensions["job_watch"] = WatchHub(celery_app, config.waiters)
    app.extensions["shown_jobs"] = api_1_0.ShownJobs(config.result_memory)
    app.extensions["job_followers"] = JobFollowers(celery_app, app.extensions["job_watch"])
    metrics.init_app(app, app.extensions["job_watch"], most=config.waiters)
    rate_limits.init_app(app, config)
    console.init_app(app, config)
    app.register_blueprint(api_1_0.make_blueprint())
    app.register_blueprint(service_pages.make_blueprint())
    app.register_blueprint(metrics.make_blueprint())
    app.register_blueprint(console.make_blueprint())
    app.register_blueprint(docs_page.make_blueprint(service_pages.DOCUMENT_URL))
    access_log.init_app(app)
    if config.trusted_proxies:
        # Only what the last so many wrote, each adding the address that it was asked from; the rest is the client's.
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_port=0, x_prefix=0)  # type: ignore[method-assign]
    return app


def _secret_keys(config: Config) -> tuple[str, ...]:
    if config.secret_key:
        return config.secret_key
    try:
        return (stored_secret_key(config.data_dir / "secret.key"),)
    except OSError as error:
        raise ConfigError(
            f"DATA_DIR wants a directory in which secret.key can be kept, or SECRET_KEY to be set: {error}."
        ) from error
