"""Every bound of Veltrix, with its unit in its name, and the relations that must hold between them.

A bound that an operator may lower or raise has its default here and is read through
`veltrix.config`; the rest are constants of the system. `check_relations` runs when this module is
imported: a contradiction is a programmer's error and stops the process at once.
"""

from __future__ import annotations

from typing import Final

# -- one request ---------------------------------------------------------------------------------
BODY_MAX_BYTES: Final = 64 * 1024
IMPORT_MAX_BYTES: Final = 16 * 1024 * 1024
IMPORT_MAX_ROWS: Final = 10_000
IMPORT_IN_FLIGHT: Final = 256
HEADER_VALUE_MAX_CHARS: Final = 256
PUBLIC_KEY_MIN_BITS: Final = 128
WAIT_DEFAULT_S: Final = 10.0
WAIT_MAX_S: Final = 60.0
PAGE_DEFAULT_ROWS: Final = 50
PAGE_MAX_ROWS: Final = 500

# -- what a process holds ------------------------------------------------------------------------
HELD_REQUESTS_MAX: Final = 20_000
STREAM_CLIENTS_MAX: Final = 20_000
STREAM_QUEUE_MAX: Final = 16
STREAM_HEARTBEAT_S: Final = 15.0
STREAM_COALESCE_S: Final = 0.2
STREAM_FACTS_KEPT: Final = 512
STREAM_RESUME_FACTS_MAX: Final = 20_000
RATE_PER_ADDRESS_PER_S: Final = 10_000
RATE_BURST_PER_ADDRESS: Final = 50_000
RATE_ADDRESSES_MAX: Final = 100_000
LISTEN_BACKLOG: Final = 16_384
OPERATIONS_BACKLOG: Final = 128

# -- the log -------------------------------------------------------------------------------------
RECORD_MAX_BYTES: Final = 96 * 1024
UNDECIDED_MAX: Final = 1_000_000
UNDECIDED_SHARE_ONE_EVENT: Final = 0.5
UNDECIDED_SHARE_REGISTRATIONS: Final = 0.8
APPEND_BATCH_MAX: Final = 2_000
READ_BATCH_MAX: Final = 400
READ_BATCH_MAX_BYTES: Final = 4 * 1024 * 1024
READ_WAIT_S: Final = 0.25
PARTITIONS_MAX: Final = 4_096

# -- deciding ------------------------------------------------------------------------------------
PROMOTIONS_PER_DECISION: Final = 64
FACTS_PER_DECISION: Final = PROMOTIONS_PER_DECISION + 2
SKIPPED_SHOWN: Final = 16
DETAIL_MAX_CHARS: Final = 500
STAMP_AHEAD_MS: Final = 5_000
EVENTS_CACHED: Final = 1_000
NEEDS_REMEMBERED: Final = 1_000
DUE_PER_TICK: Final = 500
TICK_INTERVAL_S: Final = 0.5
TICK_LAG_MAX: Final = 1_000
RELAY_PAGE: Final = 1_000
RELAY_BUFFER_MAX: Final = 10_000
RELAY_MARK_S: Final = 1.0
BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 2.0
BACKOFF_OWNED_S: Final = 0.4
KEEP_GRANT_S: Final = 10.0
RELAY_KEEP_GRANT_S: Final = 30.0
DRAIN_MAX_S: Final = 30.0

# -- what is seen --------------------------------------------------------------------------------
LAG_LOOK_S: Final = 1.0
LAG_MARKS_MAX: Final = 1_024
HOT_EVENTS_MAX: Final = 1_000
HOT_EVENTS_SHOWN: Final = 20
SPANS_QUEUE_MAX: Final = 20_000
SPANS_EXPORT_MAX: Final = 512
SPAN_LINKS_MAX: Final = 128
CHECK_INTERVAL_S: Final = 5.0
CHECK_SAMPLE: Final = 500
CHECK_EVENTS: Final = 10
CHECK_NOTICES: Final = 20

# -- the cluster ---------------------------------------------------------------------------------
SETTINGS_HISTORY_MAX: Final = 100

# -- an event ------------------------------------------------------------------------------------
TEXT_MAX_CHARS: Final = 200
DESCRIPTION_MAX_CHARS: Final = 10_000
LANGUAGES_MAX: Final = 30
SLUG_MAX_CHARS: Final = 64
POOLS_MAX: Final = 50
CATEGORIES_MAX: Final = 50
POOLS_PER_CATEGORY_MAX: Final = 5
CAPACITY_MAX: Final = 10_000_000
PRICE_MAX_MINOR: Final = 10**12
WINDOWS_MAX: Final = 20
WAITLIST_MAX: Final = 50_000
HOLD_TTL_MIN_S: Final = 10
HOLD_TTL_MAX_S: Final = 90 * 24 * 3600
QUESTIONS_MAX: Final = 50
CHOICES_MAX: Final = 50
ACCESS_CODES_MAX: Final = 1_000
REMINDERS_MAX: Final = 5
REMINDER_MAX_H: Final = 90 * 24
REMINDERS_DEFAULT_H: Final = (24,)

# -- a registration ------------------------------------------------------------------------------
SEATS_PER_REGISTRATION_MAX: Final = 50
NAME_MAX_CHARS: Final = 200
EMAIL_MAX_CHARS: Final = 254  # RFC 5321, 4.5.3.1.3 less the angle brackets
ANSWER_MAX_CHARS: Final = 2_000
METADATA_MAX_KEYS: Final = 20
METADATA_VALUE_MAX_CHARS: Final = 500
CONSENTS_MAX: Final = 20
EXTERNAL_REF_MAX_CHARS: Final = 200

# -- personal data -------------------------------------------------------------------------------
KEY_BLOCK: Final = 10_000
KEYS_RESERVED_LOW: Final = 20_000
REFUSED_KEYS_DAYS: Final = 30

# -- notices -------------------------------------------------------------------------------------
NOTICE_BATCH_MAX: Final = 500
NOTICE_CLAIM_MAX: Final = 64
NOTICE_LEASE_S: Final = 60.0
SEND_TIMEOUT_S: Final = 30.0
MAIL_ATTEMPTS_MAX: Final = 8
MAIL_RETRY_S: Final = (0.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 14_400.0, 43_200.0)
MAIL_RETRY_JITTER: Final = 0.2
MAIL_RETRY_AFTER_MAX_S: Final = 4 * 3_600.0
MAIL_CONNECTIONS_MAX: Final = 8
MAIL_CONNECTION_IDLE_S: Final = 30.0
FAN_OUT_PAGE: Final = 500
FAN_OUT_JOBS: Final = 16
NOTICE_CHUNK: Final = 4
NOTICE_IN_FLIGHT_MAX: Final = 2 * NOTICE_CLAIM_MAX
NOTICE_POLL_S: Final = 1.0
FACTS_POLL_S: Final = 5.0
NOTICE_LINGER_S: Final = 0.02
PLAN_LINGER_S: Final = 0.05
# In one process: with so many requests held open, answers go before mails, for so long.
CROWD_HELD: Final = 8
CROWD_FIRST_S: Final = 10.0
NOTICE_GAUGE_S: Final = 5.0
NOTICE_RECENT_MAX: Final = 8_192
NOTICE_HINTS_MAX: Final = 20 * NOTICE_BATCH_MAX
EVENT_FRESH_S: Final = 5.0

# -- attempts, targets and orders ----------------------------------------------------------------
ATTEMPTS_KEPT_MAX: Final = 50
WEBHOOK_RETRY_S: Final = (  # Standard Webhooks, the schedule of its specification
    *(0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0),
)
WEBHOOK_ATTEMPTS_MAX: Final = 10
WEBHOOK_RETRY_AFTER_MAX_S: Final = 24 * 3_600.0
PUT_BACK_MAX_S: Final = 600.0
WEBHOOKS_IN_FLIGHT_MAX: Final = 1_024
WEBHOOKS_CLAIM_MAX: Final = 256
WEBHOOKS_PER_ENDPOINT: Final = 8
WEBHOOKS_PER_ENDPOINT_MAX: Final = 128
WEBHOOKS_PER_SLOW_ENDPOINT: Final = 4
SLOW_TARGET_S: Final = 1.0
BREAKER_FAILURES: Final = 5
BREAKER_PAUSE_S: Final = 10.0
BREAKER_PAUSE_MAX_S: Final = 3_600.0
TARGETS_FRESH_S: Final = 1.0
THROTTLED_MAX_S: Final = 3_600.0
ORDER_PAGE: Final = 500
ORDER_POLL_S: Final = 1.0
ORDER_IDS_MAX: Final = 1_000
ENDPOINT_GIVE_UP_S: Final = 5 * 24 * 3_600.0

# -- webhooks ------------------------------------------------------------------------------------
WEBHOOK_TIMEOUT_S: Final = 15.0
WEBHOOK_CONNECT_S: Final = 5.0
WEBHOOK_EXCERPT_BYTES: Final = 1024
WEBHOOK_EXCERPT_S: Final = 1.0
WEBHOOK_HEAD_MAX_BYTES: Final = 32 * 1024
WEBHOOK_CONNECTIONS_PER_HOST: Final = 128
WEBHOOK_CONNECTION_IDLE_S: Final = (
    4.0  # servers close theirs after five: who is later cannot know what arrived
)
WEBHOOK_LOOKUPS_MAX: Final = 8
WEBHOOK_LOOKUP_S: Final = 3.0
WEBHOOK_NAMES_KEPT_S: Final = 10
WEBHOOK_URL_MAX_CHARS: Final = 2_048
WEBHOOK_SECRETS_MAX: Final = 4
WEBHOOK_OVERLAP_S: Final = 24 * 3_600
WEBHOOK_OVERLAP_MAX_S: Final = 30 * 24 * 3_600
ENDPOINTS_PER_ORGANIZER_MAX: Final = 50
FACTS_SCANNED_MAX: Final = 2_000
FACTS_CURSOR_MAX_CHARS: Final = 6_000

# -- suppression and reports of mail servers -----------------------------------------------------
REPORT_MAX_BYTES: Final = 1024 * 1024
REPORT_HEADERS_MAX_BYTES: Final = 64 * 1024
REPORT_FIELD_MAX_CHARS: Final = 1_000
REPORT_RECIPIENTS_MAX: Final = 100
SUPPRESSION_DETAIL_MAX_CHARS: Final = 200

# -- organizers' templates -----------------------------------------------------------------------
TEMPLATE_MAX_CHARS: Final = 24_000
TEMPLATE_SUBJECT_MAX_CHARS: Final = 500
TEMPLATE_LOOP_MAX: Final = 1_000
TEMPLATE_STEPS_MAX: Final = 20_000
TEMPLATE_OUTPUT_MAX_CHARS: Final = 200_000
TEMPLATE_DEPTH_MAX: Final = 25
TEMPLATES_PER_ORGANIZER_MAX: Final = 500


def check_relations() -> None:
    """Assert the relations between limits that the code relies on."""
    assert BODY_MAX_BYTES < RECORD_MAX_BYTES, "a sealed body must fit one record of the log"
    assert RECORD_MAX_BYTES < READ_BATCH_MAX_BYTES, "one record must fit one read"
    assert SEND_TIMEOUT_S < NOTICE_LEASE_S, "a lease must outlive the attempt it covers"
    assert WEBHOOK_CONNECT_S < WEBHOOK_TIMEOUT_S < NOTICE_LEASE_S, "likewise"
    assert len(MAIL_RETRY_S) == MAIL_ATTEMPTS_MAX, "one delay an attempt"
    assert len(WEBHOOK_RETRY_S) == WEBHOOK_ATTEMPTS_MAX, "one delay an attempt"
    assert WEBHOOK_ATTEMPTS_MAX < ATTEMPTS_KEPT_MAX, "every attempt of a schedule can be seen"
    assert WEBHOOKS_PER_SLOW_ENDPOINT <= WEBHOOKS_PER_ENDPOINT <= WEBHOOKS_PER_ENDPOINT_MAX
    assert WEBHOOKS_PER_ENDPOINT_MAX <= WEBHOOKS_CLAIM_MAX <= WEBHOOKS_IN_FLIGHT_MAX
    assert NOTICE_CHUNK <= NOTICE_CLAIM_MAX <= NOTICE_IN_FLIGHT_MAX
    assert KEY_BLOCK <= KEYS_RESERVED_LOW, "a block must not exceed the reserve it refills"
    assert WAIT_DEFAULT_S <= WAIT_MAX_S
    assert UNDECIDED_SHARE_ONE_EVENT < UNDECIDED_SHARE_REGISTRATIONS < 1.0
    assert PAGE_DEFAULT_ROWS <= PAGE_MAX_ROWS
    assert SPANS_EXPORT_MAX <= SPANS_QUEUE_MAX
    assert HOT_EVENTS_SHOWN <= HOT_EVENTS_MAX // 2, "what is shown survives when room is made"
    assert HELD_REQUESTS_MAX <= UNDECIDED_MAX
    assert 2 * TEMPLATE_MAX_CHARS + TEMPLATE_SUBJECT_MAX_CHARS < BODY_MAX_BYTES, "a template fits a request"
    assert len(REMINDERS_DEFAULT_H) <= REMINDERS_MAX
    assert all(1 <= hours <= REMINDER_MAX_H for hours in REMINDERS_DEFAULT_H)


check_relations()
