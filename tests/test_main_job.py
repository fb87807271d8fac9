"""The main job through the gateway: sign up, confirm, publish, everyone gets it once."""

from harness.system import System


async def test_from_sign_up_to_delivered(system: System) -> None:
    await system.confirmed_subscriber("reader-1@example.com")
    await system.confirmed_subscriber("reader-2@example.com")
    assert (await system.log_in()).headers["location"] == "/admin/dashboard"
    answer = await system.publish_by_form()
    assert answer.status_code == 303
    await system.deliver_all_pending()
    mails = system.newsletter_mails()
    assert sorted(mail.to for mail in mails) == ["reader-1@example.com", "reader-2@example.com"]
    issues = (await system.api.get("/api/v1/issues")).json()["items"]
    assert issues[0]["status"] == "sent"
    assert issues[0]["counts"]["accepted"] == 2
