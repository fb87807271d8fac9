"""What pages say of calls that were refused."""

from broadsheet_common.http.problems import Problem
from broadsheet_gateway.admin.service_calls import refusal_sentence
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError


def test_a_refusal_without_details_is_said_as_a_whole_sentence() -> None:
    bare = Problem(type="urn:broadsheet:problem:not-paused", title="The issue is not paused", status=409)
    told = Problem(type=bare.type, title=bare.title, status=409, detail="It was resumed.")
    assert refusal_sentence(UpstreamRefusalError(409, bare, {})) == "The issue is not paused."
    assert refusal_sentence(UpstreamRefusalError(409, told, {})) == "It was resumed."
