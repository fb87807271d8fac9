"""Whether the system says that it is well: the original's health check, and what every service has besides."""

import httpx
import pytest

from harness.system import METRICS_TOKEN, System, in_this_process

SERVICES = ["gateway", "subscriptions", "publishing", "delivery"]


async def test_the_health_check_answers_200_and_an_empty_body(system: System) -> None:
    answer = await system.visitor.get("/health-check")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_every_service_says_that_it_lives_and_is_ready(system: System, service: str, path: str) -> None:
    async with _inside(system, service) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_has_figures_for_prometheus(system: System, service: str) -> None:
    async with _inside(system, service) as client:
        await client.get("/openapi.json")
        answer = await client.get("/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200
    assert "# TYPE http_" in answer.text


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("version", "status"), [("0000", 503), ("other", 503), ("9999", 200)])
async def test_a_service_is_ready_on_its_schema_or_a_newer_one(
    system: System, service: str, version: str, status: int
) -> None:
    """A newer one leaves standing what the code before it uses: old and new work side by side in a rolling upgrade."""
    [(before,)] = system.seed.execute("SELECT version_num FROM public.alembic_version")
    await system.run_sql(f"UPDATE public.alembic_version SET version_num = '{version}'")
    try:
        async with _inside(system, service) as client:
            assert (await client.get("/health/ready")).status_code == status
    finally:
        await system.run_sql(f"UPDATE public.alembic_version SET version_num = '{before}'")


def _inside(system: System, service: str) -> httpx.AsyncClient:
    """Straight to a service, as an orchestrator or Prometheus reaches it."""
    return httpx.AsyncClient(transport=in_this_process(system.apps[service]), base_url="http://127.0.0.1:8081")
