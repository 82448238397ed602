"""The catalogue in English."""

from __future__ import annotations

from typing import Final

PROBLEMS: Final[dict[str, tuple[str, str]]] = {
    # refusals: decided, and bound to the request's key
    "malformed": (
        "The request could not be read",
        "Your request was recorded, but could not be read. Please send it again.",
    ),
    "unknown_version": (
        "The request could not be read",
        "Your request was recorded in a version that is not known here. Please send it again.",
    ),
    "oversized": ("The request is too large", "Your request was recorded, but is too large to be decided."),
    "quarantined": (
        "The request could not be decided",
        "Your request led to an error and was set aside. The organizer can see it. Please ask them.",
    ),
    "unknown_event": ("No such event", "There is no such event here. Please check the address."),
    "slug_taken": (
        "The short name is taken",
        "You already have an event of that short name. Choose another 'slug'.",
    ),
    "version_conflict": (
        "Somebody else changed it",
        "It was changed in between. Read it again, and repeat your change.",
    ),
    "invalid_change": ("The change is not possible", "An event cannot be like that, or not any more."),
    "event_cancelled": ("The event is cancelled", "The event was called off by its organizer."),
    "event_ended": ("The event is over", "The event is over; nothing can be changed any more."),
    "not_open": ("Registration is not open", "The event does not take registrations at the moment."),
    "not_ended_yet": ("The event is not over yet", "The event can be ended only once its end has passed."),
    "window_not_open_yet": (
        "Registration has not opened yet",
        "Registration opens later. Please come back then.",
    ),
    "window_over": ("Registration is over", "The time in which one could register is over."),
    "access_code_required": ("An access code is needed", "Registration for this event needs an access code."),
    "access_code_invalid": (
        "The access code does not fit",
        "The access code is unknown, or is not for the tickets you chose.",
    ),
    "access_code_used_up": ("The access code is used up", "The access code was used as often as it may be."),
    "form_version_outdated": (
        "The form has changed",
        "The organizer changed the form while you filled it in. Please load it again.",
    ),
    "unknown_category": ("No such ticket", "At least one of the chosen kinds of ticket does not exist."),
    "category_not_on_sale": (
        "The ticket is not on sale",
        "At least one of the chosen tickets is not on sale now.",
    ),
    "party_too_large": ("Too many seats at once", "One registration cannot have that many seats."),
    "already_registered": ("Already registered", "There is a registration with this e-mail address already."),
    "seats_per_person": (
        "Too many seats for one person",
        "With these, you would have more seats than one person may.",
    ),
    "unknown_registration": ("No such registration", "There is no such registration. Please check the link."),
    "link_replaced": (
        "This link no longer counts",
        "The registration was handed to somebody else, who got a link of their own.",
    ),
    "not_active": ("The registration has ended", "The registration was cancelled or has expired."),
    "not_held": (
        "Nothing is held",
        "The registration is not held, so there is nothing to confirm, extend or release.",
    ),
    "hold_not_due": ("The hold still stands", "The hold has time left."),
    "organizer_must_confirm": (
        "The organizer confirms",
        "For this event, only the organizer confirms registrations.",
    ),
    "unknown_seat": ("No such seat", "There is no such seat, or it was cancelled."),
    "seat_checked_in": (
        "Somebody is inside already",
        "A seat that was checked in cannot be changed any more.",
    ),
    "ticket_replaced": (
        "The ticket was replaced",
        "The seat was handed to somebody else, who has a newer ticket.",
    ),
    "not_confirmed": ("The registration is not confirmed", "Only confirmed registrations can be checked in."),
    "already_checked_in": ("Already checked in", "This ticket was checked in before."),
    "not_checked_in": ("Not checked in", "This ticket was not checked in, so there is nothing to take back."),
    "full": ("Sold out", "There are not enough free seats for this registration."),
    "waitlist_full": ("Sold out, and the waitlist is full", "All seats are taken, and so is the waitlist."),
    # the edge
    "malformed_json": ("The body is no JSON", "The request's body is no well-formed JSON."),
    "invalid_header": (
        "A header cannot be used",
        "At least one header has a value that cannot be used; see 'errors'.",
    ),
    "invalid_query": (
        "A parameter cannot be used",
        "At least one query parameter cannot be used; see 'errors'.",
    ),
    "bad_cursor": ("The cursor is not ours", "The cursor is not one that this list gave. Start without one."),
    "weak_key": (
        "The Idempotency-Key is too short",
        "A public key must hold 128 random bits: send a UUID, or at least 22 random characters.",
    ),
    "unauthorized": (
        "An API key is needed",
        "Send a valid API key of the organizer as 'Authorization: Bearer vk_…'.",
    ),
    "forbidden": ("The API key may not do this", "The API key lacks the scope '{scope}'."),
    "not_found": ("Nothing is here", "There is nothing at this address."),
    "unknown_decision": ("No such decision", "The receipt is not one of ours, or its request never arrived."),
    "unknown_endpoint": ("No such endpoint", "There is no such endpoint, or it was taken away."),
    "unknown_notice": ("No such notice", "There is no such notice."),
    "unknown_choice": (
        "This link does not work",
        "The link is not whole, or not one of ours. Please use the one in the mail as it is.",
    ),
    "unknown_suppression": ("Not suppressed", "There is no such suppression: mail is sent to that address."),
    "unknown_secret": ("No such secret", "The endpoint has no such secret, or it has ended."),
    "method_not_allowed": (
        "The method does not fit",
        "This address does not answer to that method; see 'Allow'.",
    ),
    "request_timeout": (
        "The request came too slowly",
        "The body did not arrive in time. Please send it again.",
    ),
    "last_secret": (
        "The endpoint needs a secret",
        "It is the only secret that lasts. Make a new one first; it can end the old ones at once.",
    ),
    "person_erased": (
        "The personal data was erased",
        "The personal data of this registration was erased, so it cannot be changed.",
    ),
    "precondition_failed": (
        "It has another version",
        "It is not of the version that If-Match names. Read it again, and repeat your change.",
    ),
    "body_too_large": ("The body is too large", "The body has more than {most_bytes} bytes."),
    "unsupported_media_type": ("The content type is not known here", "Send one of: {types}."),
    "invalid_body": (
        "Something is missing or wrong",
        "The request does not hold what is needed; see 'errors'.",
    ),
    "invalid_ticket": ("No valid ticket", "The code is no ticket of this event."),
    "key_reused": (
        "The Idempotency-Key was used before",
        "The same Idempotency-Key came with another request. Use a new key for a new request.",
    ),
    "too_many_requests": (
        "Too many requests",
        "Too many requests come from your address. Please wait a moment.",
    ),
    "internal": ("Our mistake", "Something went wrong on our side. The trace id helps us to find out what."),
    "event_busy": (
        "Very many people register right now",
        "More people ask for this event than can wait in line. Please try again in a moment.",
    ),
    "imports_busy": ("Other imports are running", "Other imports are running. Please try again in a moment."),
    "outcome_unknown": (
        "It is not known whether your request arrived",
        "It may or may not have arrived. Repeat it with the same Idempotency-Key: it will count only once.",
    ),
    "overloaded": ("Very much is going on right now", "Please try again in a moment, with the same key."),
    "stopping": ("This server is restarting", "Please try again in a moment, with the same key."),
    "unknown_template": (
        "No such template",
        "You have no text of your own for this kind and language. People are told in Veltrix's words.",
    ),
    "too_many_templates": (
        "Too many templates",
        "You have {most} templates, which is the most. Take one away first.",
    ),
    "too_many_endpoints": (
        "Too many endpoints",
        "You have {most} endpoints, which is the most. Take one away first.",
    ),
    "too_many_secrets": (
        "Too many secrets",
        "The endpoint has {most} secrets in force, which is the most. End one first, or wait for one to end.",
    ),
    "too_many_streams": (
        "Too many people are watching",
        "Please try again in a moment, or ask without a stream.",
    ),
    "unavailable": ("Not available right now", "Please try again in a moment, with the same key."),
}

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("is missing", "give it"),
    "unknown_field": ("is not known here", "leave it out"),
    "wrong_type": ("has the wrong type", "give {expected}"),
    "out_of_range": ("is too short, too long, too small or too large", "give {expected}"),
    "wrong_value": ("has a value that is not known here", "give one of: {expected}"),
    "no_choice": ("is none of the known values", "give one that the description (/openapi.json) names"),
    "blank": ("is blank", "give a text"),
    "too_many": ("has too many entries", "use at most {most}"),
    "control_characters": ("has characters that cannot be shown", "leave out control characters"),
    "no_email": ("is no e-mail address", "give an address such as name@example.org"),
    "no_locale": ("is no language tag", "use a BCP 47 tag such as 'en' or 'de-CH'"),
    "no_time": ("is no time", "use RFC 3339 with an offset, such as 2027-05-01T10:00:00Z"),
    "no_key": ("is no key", "use a-z, 0-9, '-' and '_', 1 to 64 characters"),
    "no_answer": ("is not answered", "answer it"),
    "unknown_question": ("is no question of this form", "leave it out"),
    "answer_text": ("must be a text", "answer with a text"),
    "answer_boolean": ("must be yes or no", "answer with true or false"),
    "answer_choice": ("is none of the choices", "answer with one of: {expected}"),
    "key_shape": ("is no string", "send printable characters, bare or as a quoted string"),
    "key_length": ("is empty or too long", "use 1 to 256 characters"),
    "keys_differ": ("differs from X-Idempotency-Key", "send one of the two"),
    "etag_shape": ("is no entity tag", 'send the ETag as you got it, such as "3"'),
    "no_id": ("is no id", "use an id as it was given out"),
    "email_fixed": ("cannot be changed", "transfer the registration to the other person"),
    "unknown_code": ("is no access code of this event", "give its 'code', or the 'id' of one that exists"),
    "no_row": ("is no row", "give one JSON object a line"),
    "no_column": ("is missing as a column", "add the column to the first line"),
    "no_url": ("is no URL", "give a URL such as https://crm.example.org/hooks"),
    "url_not_https": ("does not begin with https://", "give an https URL; posts carry business data"),
    "url_credentials": ("has a user name or a password in it", "leave it out; verify the signature instead"),
    "url_fragment": ("has a fragment", "leave out everything from '#' on"),
    "url_not_public": (
        "leads to {shown}, where webhooks are not sent",
        "give an address of the public internet, or ask the operator to allow the network",
    ),
    "report_empty": ("is empty", "hand over the whole report, headers included"),
    "report_too_large": (
        "is longer than a report may be",
        "hand over the report alone, with the headers of the mail that came back instead of all of it",
    ),
    "report_no_report": (
        "is no report",
        "hand over a delivery status (RFC 3464) or a complaint (RFC 5965): multipart/report, with headers",
    ),
    "report_broken": ("is cut or damaged", "hand over the report as the mail server made it"),
    "report_no_status": ("says nothing about a delivery", "hand over the report as the mail server made it"),
    "report_too_many": ("is about more recipients than one mail has", "hand over one report for each mail"),
    "report_no_notice": (
        "names no mail of ours",
        "have the report keep the headers of the mail that came back, or set notification.bounces",
    ),
    "nothing_chosen": ("chooses nothing", "name ids, an endpoint, an event, statuses or a time"),
    "domain": ("{fault}", "{remedy}"),
}
