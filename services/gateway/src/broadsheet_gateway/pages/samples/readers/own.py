"""Sample data of preference pages, and of the choices behind an unsubscribe link."""

import msgspec

from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.samples.readers.looks import FRENCH, GERMAN, SYSTEMS
from broadsheet_gateway.pages.views import (
    AddressChangePage,
    ChoicesPage,
    ErasedPage,
    ErasePage,
    LinkMailedPage,
    Membership,
    PageView,
    PreferencesPage,
    UnsubscribedPage,
)


def own_samples() -> dict[str, PageView]:
    preferences = PreferencesPage(
        action_path="/preferences/sample-token",
        email="grace@example.com",
        name="Grace",
        typed_name="Grace",
        newsletters=(
            Membership(id=1, name=SYSTEMS.newsletter_name, state="confirmed"),
            Membership(id=2, name="Notes from the Press Room, Twice a Month", state="pending"),
            Membership(id=3, name="Offcuts", state="unsubscribed"),
        ),
    )
    return {
        "unsubscribed-from-all": UnsubscribedPage(is_everything=True),
        "choices": ChoicesPage(look=SYSTEMS, action_path="/unsubscribe/sample-token"),
        "choices-left": ChoicesPage(look=SYSTEMS, action_path="/unsubscribe/sample-token", has_left=True),
        "choices-unnamed": ChoicesPage(action_path="/unsubscribe/sample-token"),
        "link-mailed": LinkMailedPage(),
        "link-mailed-local": LinkMailedPage(inbox_url="http://127.0.0.1:8085/inbox"),
        "link-mailed-french": LinkMailedPage(look=FRENCH),
        "preferences-german": msgspec.structs.replace(
            preferences,
            look=GERMAN,
            asked="de",
            flashes=(FlashCode.NAME_CHANGED,),
            newsletters=(Membership(id=4, name=GERMAN.newsletter_name, state="confirmed", suppressed="complaint"),),
        ),
        "preferences": preferences,
        "preferences-left": msgspec.structs.replace(
            preferences,
            flashes=(FlashCode.LEFT_ALL,),
            newsletters=(Membership(id=1, name=SYSTEMS.newsletter_name, state="unsubscribed"),),
            pending_email="grace.new@example.com",
        ),
        "preferences-none": msgspec.structs.replace(preferences, newsletters=()),
        "preferences-errors": msgspec.structs.replace(
            preferences,
            typed_name="",
            typed_email="grace@",
            errors={"name": "A name is needed.", "email": "There must be something after the @-sign."},
        ),
        "erase": ErasePage(action_path="/preferences/sample-token"),
        "erased": ErasedPage(),
        "erase-german": ErasePage(action_path="/preferences/sample-token", asked="de"),
        "address-change": AddressChangePage(
            action_path="/change-of-address/sample-token", new_email="grace.new@example.com", is_confirmed=False
        ),
        "address-changed": AddressChangePage(
            action_path="/change-of-address/sample-token", new_email="grace.new@example.com", is_confirmed=True
        ),
    }
