"""The catalogue in German."""

from __future__ import annotations

from typing import Final

PROBLEMS: Final[dict[str, tuple[str, str]]] = {
    # refusals: decided, and bound to the request's key
    "malformed": (
        "Die Anfrage war nicht lesbar",
        "Ihre Anfrage wurde aufgezeichnet, war aber nicht lesbar. Bitte senden Sie sie noch einmal.",
    ),
    "unknown_version": (
        "Die Anfrage war nicht lesbar",
        "Ihre Anfrage hat eine Version, die hier nicht bekannt ist. Bitte senden Sie sie noch einmal.",
    ),
    "oversized": (
        "Die Anfrage ist zu groß",
        "Ihre Anfrage wurde aufgezeichnet, ist aber zu groß, um entschieden zu werden.",
    ),
    "quarantined": (
        "Die Anfrage konnte nicht entschieden werden",
        "Ihre Anfrage führte zu einem Fehler und wurde beiseitegelegt. Bitte fragen Sie den Veranstalter.",
    ),
    "unknown_event": (
        "Diese Veranstaltung gibt es nicht",
        "Diese Veranstaltung gibt es hier nicht. Bitte prüfen Sie die Adresse.",
    ),
    "slug_taken": (
        "Der Kurzname ist vergeben",
        "Sie haben schon eine Veranstaltung mit diesem Kurznamen. Wählen Sie einen anderen 'slug'.",
    ),
    "version_conflict": (
        "Jemand anderes hat es geändert",
        "Es wurde inzwischen geändert. Lesen Sie es neu und wiederholen Sie Ihre Änderung.",
    ),
    "invalid_change": (
        "Die Änderung ist nicht möglich",
        "So kann eine Veranstaltung nicht sein, oder nicht mehr.",
    ),
    "event_cancelled": (
        "Die Veranstaltung ist abgesagt",
        "Die Veranstaltung wurde vom Veranstalter abgesagt.",
    ),
    "event_ended": (
        "Die Veranstaltung ist vorbei",
        "Die Veranstaltung ist vorbei; es lässt sich nichts mehr ändern.",
    ),
    "not_open": ("Die Anmeldung ist nicht offen", "Zurzeit nimmt diese Veranstaltung keine Anmeldungen an."),
    "not_ended_yet": (
        "Die Veranstaltung ist noch nicht vorbei",
        "Beendet werden kann sie erst, wenn ihr Ende vorüber ist.",
    ),
    "window_not_open_yet": (
        "Die Anmeldung hat noch nicht begonnen",
        "Die Anmeldung beginnt später. Bitte kommen Sie dann wieder.",
    ),
    "window_over": ("Die Anmeldung ist vorbei", "Die Zeit, in der man sich anmelden konnte, ist vorbei."),
    "access_code_required": (
        "Ein Zugangscode ist nötig",
        "Die Anmeldung zu dieser Veranstaltung verlangt einen Zugangscode.",
    ),
    "access_code_invalid": (
        "Der Zugangscode passt nicht",
        "Der Zugangscode ist unbekannt oder gilt nicht für die gewählten Karten.",
    ),
    "access_code_used_up": (
        "Der Zugangscode ist verbraucht",
        "Der Zugangscode wurde so oft benutzt, wie er darf.",
    ),
    "form_version_outdated": (
        "Das Formular hat sich geändert",
        "Der Veranstalter hat das Formular inzwischen geändert. Bitte laden Sie es neu.",
    ),
    "unknown_category": (
        "Diese Karte gibt es nicht",
        "Mindestens eine der gewählten Kartenarten gibt es nicht.",
    ),
    "category_not_on_sale": (
        "Die Karte ist nicht erhältlich",
        "Mindestens eine der gewählten Karten ist jetzt nicht erhältlich.",
    ),
    "party_too_large": ("Zu viele Plätze auf einmal", "Eine Anmeldung kann nicht so viele Plätze haben."),
    "already_registered": ("Schon angemeldet", "Mit dieser E-Mail-Adresse gibt es schon eine Anmeldung."),
    "seats_per_person": (
        "Zu viele Plätze für eine Person",
        "Damit hätten Sie mehr Plätze, als eine Person haben darf.",
    ),
    "unknown_registration": (
        "Diese Anmeldung gibt es nicht",
        "Diese Anmeldung gibt es nicht. Bitte prüfen Sie den Link.",
    ),
    "link_replaced": (
        "Dieser Link gilt nicht mehr",
        "Die Anmeldung wurde jemand anderem übergeben, der einen eigenen Link bekam.",
    ),
    "not_active": ("Die Anmeldung ist beendet", "Die Anmeldung wurde storniert oder ist abgelaufen."),
    "not_held": (
        "Nichts ist reserviert",
        "Die Anmeldung ist nicht reserviert; es gibt nichts zu bestätigen, zu verlängern oder freizugeben.",
    ),
    "hold_not_due": ("Die Reservierung gilt noch", "Die Reservierung hat noch Zeit."),
    "organizer_must_confirm": (
        "Der Veranstalter bestätigt",
        "Bei dieser Veranstaltung bestätigt nur der Veranstalter die Anmeldungen.",
    ),
    "unknown_seat": ("Diesen Platz gibt es nicht", "Diesen Platz gibt es nicht, oder er wurde storniert."),
    "seat_checked_in": (
        "Es ist schon jemand drin",
        "Ein Platz, der schon eingelassen wurde, kann nicht mehr geändert werden.",
    ),
    "ticket_replaced": (
        "Die Karte wurde ersetzt",
        "Der Platz wurde jemand anderem übergeben, der eine neuere Karte hat.",
    ),
    "not_confirmed": (
        "Die Anmeldung ist nicht bestätigt",
        "Nur bestätigte Anmeldungen können eingelassen werden.",
    ),
    "already_checked_in": ("Schon eingelassen", "Diese Karte wurde schon eingelassen."),
    "not_checked_in": (
        "Nicht eingelassen",
        "Diese Karte wurde nicht eingelassen; es gibt nichts zurückzunehmen.",
    ),
    "full": ("Ausgebucht", "Für diese Anmeldung sind nicht genug Plätze frei."),
    "waitlist_full": (
        "Ausgebucht, und die Warteliste ist voll",
        "Alle Plätze sind vergeben, und auch die Warteliste ist voll.",
    ),
    # the edge
    "malformed_json": ("Der Inhalt ist kein JSON", "Der Inhalt der Anfrage ist kein wohlgeformtes JSON."),
    "invalid_header": (
        "Eine Kopfzeile ist unbrauchbar",
        "Mindestens eine Kopfzeile hat einen unbrauchbaren Wert; siehe 'errors'.",
    ),
    "invalid_query": (
        "Ein Parameter ist unbrauchbar",
        "Mindestens ein Parameter der Adresse ist unbrauchbar; siehe 'errors'.",
    ),
    "bad_cursor": (
        "Der Cursor ist nicht von uns",
        "Der Cursor stammt nicht aus dieser Liste. Beginnen Sie ohne.",
    ),
    "weak_key": (
        "Der Idempotency-Key ist zu kurz",
        "Ein öffentlicher Schlüssel braucht 128 zufällige Bits: eine UUID oder 22 zufällige Zeichen.",
    ),
    "unauthorized": (
        "Ein API-Schlüssel ist nötig",
        "Senden Sie einen gültigen API-Schlüssel des Veranstalters als 'Authorization: Bearer vk_…'.",
    ),
    "forbidden": ("Der API-Schlüssel darf das nicht", "Dem API-Schlüssel fehlt das Recht '{scope}'."),
    "not_found": ("Hier ist nichts", "Unter dieser Adresse gibt es nichts."),
    "unknown_decision": (
        "Diese Entscheidung gibt es nicht",
        "Die Quittung ist nicht von uns, oder ihre Anfrage kam nie an.",
    ),
    "unknown_endpoint": ("Diesen Endpunkt gibt es nicht", "Diesen Endpunkt gibt es nicht, oder nicht mehr."),
    "unknown_notice": ("Diese Benachrichtigung gibt es nicht", "Diese Benachrichtigung gibt es nicht."),
    "unknown_choice": (
        "Dieser Link funktioniert nicht",
        "Der Link ist unvollständig oder nicht von uns. Bitte nehmen Sie den aus der Mail, wie er ist.",
    ),
    "unknown_suppression": ("Nicht gesperrt", "Es gibt keine solche Sperre: An diese Adresse geht Mail."),
    "unknown_secret": (
        "Dieses Geheimnis gibt es nicht",
        "Der Endpunkt hat es nicht, oder es ist abgelaufen.",
    ),
    "method_not_allowed": (
        "Die Methode passt nicht",
        "Diese Adresse kennt diese Methode nicht; siehe 'Allow'.",
    ),
    "request_timeout": (
        "Die Anfrage kam zu langsam",
        "Der Inhalt kam nicht rechtzeitig an. Bitte senden Sie ihn noch einmal.",
    ),
    "last_secret": (
        "Der Endpunkt braucht ein Geheimnis",
        "Es ist das einzige, das bleibt. Machen Sie erst ein neues; es kann die alten sofort beenden.",
    ),
    "person_erased": (
        "Die persönlichen Daten wurden gelöscht",
        "Die persönlichen Daten dieser Anmeldung wurden gelöscht und sind nicht mehr änderbar.",
    ),
    "precondition_failed": (
        "Es hat eine andere Version",
        "Es hat nicht die Version, die If-Match nennt. Lesen Sie es neu und wiederholen Sie Ihre Änderung.",
    ),
    "body_too_large": ("Der Inhalt ist zu groß", "Der Inhalt hat mehr als {most_bytes} Bytes."),
    "unsupported_media_type": ("Der Inhaltstyp ist hier nicht bekannt", "Senden Sie einen von: {types}."),
    "invalid_body": (
        "Etwas fehlt oder stimmt nicht",
        "Der Anfrage fehlt etwas, oder etwas darin stimmt nicht; siehe 'errors'.",
    ),
    "invalid_ticket": ("Keine gültige Karte", "Der Code ist keine Karte dieser Veranstaltung."),
    "key_reused": (
        "Der Idempotency-Key wurde schon benutzt",
        "Derselbe Idempotency-Key kam mit einer anderen Anfrage. Nehmen Sie für diese einen neuen.",
    ),
    "too_many_requests": (
        "Zu viele Anfragen",
        "Von Ihrer Adresse kommen zu viele Anfragen. Bitte warten Sie einen Moment.",
    ),
    "internal": ("Unser Fehler", "Bei uns ging etwas schief. Die Trace-Id hilft uns, es zu finden."),
    "event_busy": (
        "Gerade melden sich sehr viele an",
        "Es fragen mehr Leute an, als anstehen können. Bitte versuchen Sie es gleich noch einmal.",
    ),
    "imports_busy": (
        "Andere Importe laufen",
        "Andere Importe laufen. Bitte versuchen Sie es gleich noch einmal.",
    ),
    "outcome_unknown": (
        "Es ist nicht bekannt, ob Ihre Anfrage ankam",
        "Wiederholen Sie sie mit demselben Idempotency-Key: Sie zählt nur einmal.",
    ),
    "overloaded": ("Gerade ist sehr viel los", "Bitte versuchen Sie es gleich noch einmal."),
    "stopping": ("Dieser Server startet neu", "Bitte versuchen Sie es gleich noch einmal."),
    "unknown_template": (
        "Diese Vorlage gibt es nicht",
        "Sie haben keinen eigenen Text für diese Art und Sprache. Es gelten die Texte von Veltrix.",
    ),
    "too_many_templates": (
        "Zu viele Vorlagen",
        "Sie haben {most} Vorlagen, mehr sind nicht möglich. Entfernen Sie zuerst eine.",
    ),
    "too_many_endpoints": (
        "Zu viele Endpunkte",
        "Sie haben {most} Endpunkte, mehr sind nicht möglich. Entfernen Sie zuerst einen.",
    ),
    "too_many_secrets": (
        "Zu viele Geheimnisse",
        "Der Endpunkt hat {most} gültige Geheimnisse, mehr sind nicht möglich. Beenden Sie zuerst eines.",
    ),
    "too_many_streams": ("Zu viele sehen zu", "Bitte versuchen Sie es gleich noch einmal."),
    "unavailable": ("Zurzeit nicht verfügbar", "Bitte versuchen Sie es gleich noch einmal."),
}

FAULTS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("fehlt", "geben Sie es an"),
    "unknown_field": ("ist hier nicht bekannt", "lassen Sie es weg"),
    "wrong_type": ("hat die falsche Art", "erwartet wird {expected}"),
    "out_of_range": ("ist zu kurz, zu lang, zu klein oder zu groß", "erwartet wird {expected}"),
    "wrong_value": ("hat einen hier unbekannten Wert", "nehmen Sie einen von: {expected}"),
    "no_choice": (
        "ist keiner der bekannten Werte",
        "geben Sie einen an, den die Beschreibung (/openapi.json) nennt",
    ),
    "blank": ("ist leer", "geben Sie einen Text an"),
    "too_many": ("hat zu viele Einträge", "höchstens {most}"),
    "control_characters": ("hat nicht darstellbare Zeichen", "lassen Sie Steuerzeichen weg"),
    "no_email": ("ist keine E-Mail-Adresse", "geben Sie eine Adresse wie name@example.org an"),
    "no_locale": ("ist keine Sprachkennung", "zum Beispiel 'en' oder 'de-CH' (BCP 47)"),
    "no_time": ("ist kein Zeitpunkt", "RFC 3339 mit Zeitzone, zum Beispiel 2027-05-01T10:00:00Z"),
    "no_key": ("ist kein Schlüssel", "a-z, 0-9, '-' und '_', 1 bis 64 Zeichen"),
    "no_answer": ("ist nicht beantwortet", "beantworten Sie die Frage"),
    "unknown_question": ("ist keine Frage dieses Formulars", "lassen Sie sie weg"),
    "answer_text": ("muss ein Text sein", "antworten Sie mit einem Text"),
    "answer_boolean": ("muss Ja oder Nein sein", "antworten Sie mit true oder false"),
    "answer_choice": ("ist keine der Möglichkeiten", "antworten Sie mit einer von: {expected}"),
    "key_shape": ("ist keine Zeichenkette", "senden Sie druckbare Zeichen, ohne oder in Anführungszeichen"),
    "key_length": ("ist leer oder zu lang", "1 bis 256 Zeichen"),
    "keys_differ": ("weicht von X-Idempotency-Key ab", "senden Sie nur einen von beiden"),
    "etag_shape": ("ist kein ETag", 'senden Sie den ETag, wie er kam, zum Beispiel "3"'),
    "no_id": ("ist keine Id", "nehmen Sie eine Id, wie sie ausgegeben wurde"),
    "email_fixed": ("kann nicht geändert werden", "übertragen Sie die Anmeldung der anderen Person"),
    "unknown_code": (
        "ist kein Zugangscode dieser Veranstaltung",
        "geben Sie 'code' an, oder die 'id' eines vorhandenen",
    ),
    "no_row": ("ist keine Zeile", "ein JSON-Objekt je Zeile"),
    "no_column": ("fehlt als Spalte", "ergänzen Sie die Spalte in der ersten Zeile"),
    "no_url": ("ist keine URL", "geben Sie eine an wie https://crm.example.org/hooks"),
    "url_not_https": ("beginnt nicht mit https://", "geben Sie eine https-URL an; es geht um Geschäftsdaten"),
    "url_credentials": (
        "enthält einen Benutzernamen oder ein Passwort",
        "lassen Sie es weg; prüfen Sie stattdessen die Signatur",
    ),
    "url_fragment": ("hat ein Fragment", "lassen Sie alles ab '#' weg"),
    "url_not_public": (
        "führt zu {shown}, wohin keine Webhooks gehen",
        "geben Sie eine Adresse des öffentlichen Internets an, oder bitten Sie den Betreiber um Freigabe",
    ),
    "report_empty": ("ist leer", "übergeben Sie den ganzen Bericht mit seinen Kopfzeilen"),
    "report_too_large": (
        "ist länger, als ein Bericht sein darf",
        "übergeben Sie nur den Bericht, mit den Kopfzeilen der zurückgekommenen Mail statt ihr ganz",
    ),
    "report_no_report": (
        "ist kein Bericht",
        "übergeben Sie einen Zustellbericht (RFC 3464) oder eine Beschwerde (RFC 5965): multipart/report, "
        "mit Kopfzeilen",
    ),
    "report_broken": (
        "ist abgeschnitten oder beschädigt",
        "übergeben Sie ihn, wie der Mailserver ihn machte",
    ),
    "report_no_status": (
        "sagt nichts über eine Zustellung",
        "übergeben Sie ihn, wie der Mailserver ihn machte",
    ),
    "report_too_many": (
        "handelt von mehr Empfängern, als eine Mail hat",
        "übergeben Sie für jede Mail einen eigenen Bericht",
    ),
    "report_no_notice": (
        "nennt keine Mail von uns",
        "lassen Sie dem Bericht die Kopfzeilen der Mail, oder stellen Sie notification.bounces ein",
    ),
    "nothing_chosen": (
        "wählt nichts aus",
        "nennen Sie ids, einen Endpunkt, eine Veranstaltung, Status oder eine Zeit",
    ),
    "domain": ("{fault}", "{remedy}"),
}
