"""Mail over SMTP (RFC 5321): a pool of connections to one relay, commands in groups where it offers that."""

from veltrix.adapters.smtp.channel import Security, SmtpChannel

__all__ = ["Security", "SmtpChannel"]
