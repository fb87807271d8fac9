"""Columns of other systems' exports that say who may not be written to; data.

Titles are in a normal form: lower case, letters and digits only. An export is recognised by titles that other
files hardly have together. Listed are columns whose titles alone would say nothing, or something wrong:
Substack's `active_subscription` is about paying, and a suppression list has no column that says "left", because
everybody in it has left. Titles that are clear by themselves (`unsubscribed_at`) are recognised by their words in
any file (`opt_out`).

Sources: the systems' help pages on exports and their exports as users publish them.
"""

from typing import Final, NamedTuple

from broadsheet_subscriptions.imports.reading.opt_out_cell import Meaning


class KnownExport(NamedTuple):
    """`columns`: what a column's cells say, by title; None: nothing about leaving, whatever the title suggests.

    `is_whole`: the file has exactly these titles.
    """

    system: str
    titles: frozenset[str]
    columns: dict[str, Meaning | None]
    is_whole: bool = False


def _export(system: str, titles: str, columns: dict[str, Meaning | None], *, is_whole: bool = False) -> KnownExport:
    return KnownExport(system, frozenset(titles.split()), columns, is_whole)


KNOWN_EXPORTS: Final = (
    # Our own. A subscription keeps the time of an earlier unsubscription, so only the state counts.
    _export("Broadsheet", "email state tags createdat confirmedat unsubscribedat",
            {"state": "state", "confirmedat": None, "unsubscribedat": None}),
    _export("Broadsheet", "email name tags createdat subscriptions", {"subscriptions": "subscriptions"}),
    _export("Mailchimp", "emailaddress leid",
            {"unsubtime": "opt_out", "unsubcampaigntitle": "opt_out", "unsubcampaignid": "opt_out",
             "unsubreason": "opt_out", "unsubreasonother": "opt_out", "cleantime": "opt_out",
             "cleancampaigntitle": "opt_out", "cleancampaignid": "opt_out", "optintime": None, "confirmtime": None}),
    _export("beehiiv", "email status tier createdat", {"status": "state", "unsubscribedat": "opt_out"}),
    _export("Ghost", "email subscribedtoemails complimentaryplan",
            {"subscribedtoemails": "opt_in", "emaildisabled": "opt_out", "deletedat": "opt_out",
             "complimentaryplan": None}),
    # `active_subscription`: whether they pay.
    _export("Substack", "email activesubscription emaildisabled",
            {"activesubscription": None, "expiry": None, "emaildisabled": "opt_out"}),
    _export("Substack", "email activesubscription expiry plan",
            {"activesubscription": None, "expiry": None, "emaildisabled": "opt_out"}),
    _export("Kit", "email state createdat", {"state": "state"}),
    _export("Kit", "email status createdat firstname", {"status": "state"}),
    _export("Buttondown", "email creationdate type",
            {"type": "state", "subscribertype": "state", "unsubscriptiondate": "opt_out",
             "unsubscriptionreason": "opt_out", "undeliverabilitydate": "opt_out",
             "undeliverabilityreason": "opt_out"}),
    _export("Buttondown", "email subscribertype",
            {"subscribertype": "state", "unsubscriptiondate": "opt_out", "unsubscriptionreason": "opt_out"}),
    _export("MailerLite", "subscriber sent opens clicks", {"subscribed": None, "status": "state"}),
    _export("listmonk", "uuid email name attributes status", {"status": "state", "subscriptionstatus": "state"}),
    _export("Campaign Monitor", "emailaddress datesubscribed",
            {"dateunsubscribed": "opt_out", "datebounced": "opt_out", "state": "state", "status": "state"}),
    _export("Brevo", "contactid email",
            {"blacklist": "opt_out", "blocklisted": "opt_out", "emailblacklisted": "opt_out",
             "emailblocklisted": "opt_out", "smsblacklisted": None, "optin": "opt_in", "doubleoptin": "confirmation"}),
    _export("AWeber", "email messagenumber", {"stoptime": "opt_out", "stopmethod": "opt_out", "stopstatus": "opt_out",
                                              "status": "state", "verified": "confirmation"}),
    _export("AWeber", "email stoptime", {"stoptime": "opt_out", "stopmethod": "opt_out", "stopstatus": "opt_out"}),
    _export("AWeber", "email stopmethod", {"stoptime": "opt_out", "stopmethod": "opt_out", "stopstatus": "opt_out"}),
    _export("Constant Contact", "emailaddress emailpermissionstatus",
            {"emailpermissionstatus": "state", "emailstatus": "state", "optoutdate": "opt_out",
            "optoutreason": "opt_out",
             "emailoptoutdate": "opt_out", "emailoptoutreason": "opt_out", "confirmedoptoutdate": "opt_out",
             "confirmedoptoutreason": "opt_out"}),
    _export("Klaviyo", "email emailmarketingconsent",
            {"emailmarketingconsent": "state", "emailmarketingconsenttimestamp": None, "emailsuppressions": "opt_out",
             "emailsuppressionstimestamp": "opt_out", "smsmarketingconsent": None}),
    # The status says whether HubSpot bills for the contact. It does not forbid sending to the others, so it is not a
    # state.
    _export("HubSpot", "email unsubscribedfromallemail",
            {"unsubscribedfromallemail": "opt_out", "emailhardbouncereason": "opt_out",
             "emailhardbouncereasonenum": "opt_out", "emailaddressquarantined": "opt_out",
             "emailaddressquarantinereason": "opt_out", "invalidemailaddress": "opt_out",
             "marketingcontactstatus": None, "leadstatus": None}),
    _export("HubSpot", "email marketingcontactstatus", {"marketingcontactstatus": None, "leadstatus": None}),
    _export("Keila", "email externalid status", {"status": "state"}),
    _export("phpList", "email confirmed blacklisted",
            {"confirmed": "confirmation", "blacklisted": "opt_out", "disabled": "opt_out", "bouncecount": None,
             "optedin": None}),
    _export("Shopify", "email acceptsemailmarketing",
            {"acceptsemailmarketing": "opt_in", "acceptssmsmarketing": None, "taxexempt": None}),
    _export("Shopify", "email acceptsmarketing", {"acceptsmarketing": "opt_in", "acceptssmsmarketing": None}),
    _export("MailPoet", "email globalstatus", {"globalstatus": "state", "liststatus": "state"}),
    _export("CleverReach", "email activated deactivated",
            {"activated": None, "deactivated": "opt_out", "bounced": "opt_out"}),
    _export("Salesforce", "email hasoptedoutofemail",
            {"hasoptedoutofemail": "opt_out", "emailbouncedreason": "opt_out", "emailbounceddate": "opt_out"}),
    _export("Zoho", "email emailoptout", {"emailoptout": "opt_out"}),
    # Values are "Allow" and "Do Not Allow".
    _export("Dynamics", "donotbulkemail", {"donotbulkemail": "opt_out", "donotemail": "opt_out"}),
    _export("Mailjet", "email isexcludedfromcampaigns", {"isexcludedfromcampaigns": "opt_out"}),
    # Lists that contain only people who left.
    _export("Postmark suppressions", "emailaddress suppressionreason", {"suppressionreason": "opt_out"}),
    _export("Postmark suppressions", "recipient suppressionreason", {"suppressionreason": "opt_out"}),
    _export("Mailgun bounces", "address code error createdat", {"createdat": "opt_out"}, is_whole=True),
    _export("Mailgun unsubscribes", "address tags createdat", {"createdat": "opt_out", "tags": None}, is_whole=True),
    _export("Mailgun complaints", "address createdat", {"createdat": "opt_out"}, is_whole=True),
    _export("SendGrid bounces", "status reason email created", {"created": "opt_out", "status": None}, is_whole=True),
    _export("Amazon SES suppressions", "emailaddress reason lastupdatetime",
            {"lastupdatetime": "opt_out"}, is_whole=True),
    _export("SparkPost suppressions", "recipient type source", {"type": "opt_out"}),
)  # fmt: skip


def meanings_by_export(plain_titles: frozenset[str]) -> dict[str, Meaning | None]:
    """What columns say, by title, from all exports that match the file. If two disagree, the one with more titles
    wins.
    """
    found: dict[str, Meaning | None] = {}
    fitting = [
        known
        for known in KNOWN_EXPORTS
        if (known.titles == plain_titles if known.is_whole else known.titles <= plain_titles)
    ]
    for known in sorted(fitting, key=lambda known: len(known.titles)):
        found |= known.columns
    return found
