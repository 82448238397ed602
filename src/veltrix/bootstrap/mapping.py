"""From the configuration to what services and adapters are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from veltrix import __version__
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.adapters.spool import Spool
from veltrix.config import Config
from veltrix.domain import limits
from veltrix.domain.credentials import Signer
from veltrix.notification.settings import NotificationSettings
from veltrix.observability.metrics import Metrics
from veltrix.ports.channel import Channel
from veltrix.registration.settings import Settings


def registration_settings(
    config: Config,
    port: int,
    metrics: Metrics,
    halted: Mapping[int, str],
    ready_checks: Mapping[str, Callable[[], bool]] | None = None,
) -> Settings:
    """What registration is told when it listens on `port`."""
    http, imports = config.http, config.imports
    return Settings(
        base_url=http.url(port),
        version=__version__,
        trusted_proxies=http.trusted_proxies,
        body_max_bytes=http.body_max_bytes,
        wait_default_s=http.wait_default_s,
        held_requests_max=http.held_requests_max,
        undecided_max=config.log.undecided_max,
        rate_per_address_per_s=http.rate_per_address,
        rate_burst_per_address=http.rate_burst,
        import_max_bytes=imports.body_max_bytes,
        import_max_rows=imports.rows_max,
        import_in_flight=imports.in_flight,
        halted=halted,
        ready_checks=ready_checks or {},
        hot_events=lambda: metrics.hot.document(limits.HOT_EVENTS_SHOWN),
        metrics_page=metrics.page,
    )


def notification_settings(config: Config, port: int | None, signer: Signer) -> NotificationSettings:
    """What notification is told; `port` is where registration listens (None: the configured one)."""
    sends = config.notification.channel == "smtp"
    return NotificationSettings(
        base_url=config.http.url(port),
        sender=config.notification.sender,
        signer=signer,
        partitions=config.log.partitions,
        reply_to=config.notification.reply_to,
        bounces=config.notification.bounces,
        lease_s=config.notification.lease_s,
        in_flight=2 * config.smtp.connections if sends else limits.NOTICE_IN_FLIGHT_MAX,
        hold_unknown=config.notification.on_unknown == "hold",
        mail_rate_per_s=config.notification.mails_per_s,
        webhook_rate_per_s=config.webhooks.per_endpoint_per_s,
    )


def channel_of(config: Config) -> Channel:
    """The way that mails leave."""
    smtp = config.smtp
    if config.notification.channel == "spool":
        return Spool(config.notification.spool_directory)
    assert smtp.host is not None, "the configuration was checked"
    return SmtpChannel(
        smtp.host,
        smtp.port,
        Security(smtp.security),
        username=smtp.username,
        password=smtp.password.reveal() if smtp.password is not None else None,
        connections=smtp.connections,
        timeout_s=smtp.timeout_s,
    )
