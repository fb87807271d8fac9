-- Sign-ups that arrive together are written together: one statement for all of their mails.

-- As delivery.enqueue_single_mail, for any number of mails of one kind: the arrays are of one length.
CREATE FUNCTION delivery.enqueue_single_mails(
    kind text, dedupe_keys text[], to_emails text[], subjects text[], html_bodies text[], text_bodies text[],
    expires_in interval, traceparents text[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind NOT IN ('confirmation', 'password_reset', 'test', 'preferences_link', 'address_change', 'address_notice') THEN
        RAISE EXCEPTION 'unknown kind of single mail: %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO delivery.single_mail (kind, dedupe_key, to_email, subject, html_body, text_body, expires_at, traceparent)
    SELECT kind, mail.dedupe_key, mail.to_email, mail.subject, mail.html_body, mail.text_body, now() + expires_in,
           mail.traceparent
      FROM unnest(dedupe_keys, to_emails, subjects, html_bodies, text_bodies, traceparents)
                  AS mail (dedupe_key, to_email, subject, html_body, text_body, traceparent)
    ON CONFLICT ON CONSTRAINT single_mail_dedupe_key_key DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION delivery.enqueue_single_mails FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delivery.enqueue_single_mails TO broadsheet_subscriptions;
