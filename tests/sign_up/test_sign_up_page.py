"""The public sign-up page shows what an author has set of their newsletter."""

from harness.system import System


async def test_the_page_is_in_the_authors_words_and_says_what_the_mails_report_back(system: System) -> None:
    before = (await system.visitor.get("/")).text
    assert "Its mails tell the sender" not in before
    tag = (await system.api.get("/api/v1/newsletters/1")).headers["etag"]
    words = {"sign_up_heading": "A letter a week", "sign_up_text": "From the sea.", "sign_up_button": "Write to me"}
    changed = await system.api.patch(
        "/api/v1/newsletters/1", json=words | {"track_opens": True, "track_links": True}, headers={"If-Match": tag}
    )
    assert changed.status_code == 200, changed.text
    page = (await system.visitor.get("/")).text
    assert "<h1>A letter a week</h1>" in page
    assert "From the sea.</p>" in page
    assert ">Write to me</button>" in page
    assert "Its mails tell the sender whether you open them and which links you follow." in page
