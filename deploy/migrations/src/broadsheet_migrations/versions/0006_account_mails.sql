-- Mails to users and to those who are invited: links for an account or an address of it, and notices of what changed.

-- squawk-ignore ban-drop-constraint -- a wider one follows
ALTER TABLE delivery.single_mail DROP CONSTRAINT single_mail_kind_check;
ALTER TABLE delivery.single_mail ADD CONSTRAINT single_mail_kind_check CHECK (kind IN (
    'confirmation', 'password_reset', 'test', 'newsletter', 'preferences_link', 'address_change', 'address_notice',
    'welcome', 'invitation', 'account_address', 'account_notice'
)) NOT VALID;

CREATE OR REPLACE FUNCTION delivery.enqueue_single_mail(
    kind text, dedupe_key text, to_email text, subject text, html_body text, text_body text,
    expires_in interval, traceparent text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF kind NOT IN (
        'confirmation', 'password_reset', 'test', 'preferences_link', 'address_change', 'address_notice',
        'invitation', 'account_address', 'account_notice'
    ) THEN
        RAISE EXCEPTION 'unknown kind of single mail: %', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO delivery.single_mail (kind, dedupe_key, to_email, subject, html_body, text_body, expires_at, traceparent)
    VALUES (kind, dedupe_key, to_email, subject, html_body, text_body, now() + expires_in, traceparent)
    ON CONFLICT ON CONSTRAINT single_mail_dedupe_key_key DO NOTHING;
END
$$;
