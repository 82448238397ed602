"""The description of the API, and the page to try it."""

from __future__ import annotations

import re

import msgspec

from tests.registration.house import House, a_house
from veltrix.registration.catalogue import STATUS
from veltrix.registration.samples import IMPORT_SAMPLES, SAMPLES

DESCRIPTION = House().service.app


async def described(house):
    """The description as JSON."""
    answer = await house.public.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


async def test_every_operation_is_described():
    """Each path of the API is in the description with each of its methods, and no other is."""
    async with a_house(deciding=False) as house:
        described_paths = (await described(house))["paths"]
        served = {
            (route.path, method)
            for route in house.service.app._router.routes
            for method, operation in route.endpoint._operations.items()
            if operation.documented
        }
        listed = {(path, method.upper()) for path, methods in described_paths.items() for method in methods}
        assert listed == served
        assert all(path.startswith(("/v1/", "/livez", "/readyz")) for path, _ in listed)


async def test_every_reference_leads_somewhere():
    """Each $ref names a schema that is there, and each schema is referred to."""
    async with a_house(deciding=False) as house:
        text = (await house.public.get("/openapi.json")).text
        named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
        assert named == set(msgspec.json.decode(text)["components"]["schemas"])


async def test_every_operation_says_what_it_may_answer():
    """Each operation has an id of its own, a summary, a success, and for each problem an example."""
    async with a_house(deciding=False) as house:
        seen = set()
        for methods in (await described(house))["paths"].values():
            for operation in methods.values():
                assert operation["operationId"] not in seen
                seen.add(operation["operationId"])
                assert operation["summary"]
                assert any(status < "400" for status in operation["responses"])
                for status, response in operation["responses"].items():
                    content = response.get("content", {}).get("application/problem+json")
                    for code, example in (content or {"examples": {}})["examples"].items():
                        assert example["value"]["status"] == int(status)
                        assert STATUS[code] == int(status) or code == "version_conflict"


def test_every_problem_but_the_log_s_own_is_described():
    """No problem of the edge is missing from the description of some operation."""
    endpoints = [route.endpoint for route in DESCRIPTION._router.routes]
    operations = [each for endpoint in endpoints for each in endpoint._operations.values()]
    from veltrix.registration.openapi import problem_codes

    codes = {code for operation in operations for code in problem_codes(operation)}
    assert set(STATUS) - codes <= {"not_found", "method_not_allowed"}


async def test_the_examples_are_valid():
    """Each example of a body is one that its operation takes."""
    for shape, example in SAMPLES.items():
        assert msgspec.convert(example, shape) is not None


async def test_the_examples_work():
    """The examples of an event, a registration and imports, sent as they are, do what they should."""
    async with a_house() as house:
        examples = {
            operation["operationId"]: operation["requestBody"]["content"]
            for methods in (await described(house))["paths"].values()
            for operation in methods.values()
            if "requestBody" in operation
        }
        event = await house.organizer.post(
            "/v1/events", json=examples["createEvent"]["application/json"]["example"]
        )
        path = f"/v1/events/{event.json()['id']}"
        await house.organizer.post(f"{path}/open")
        body = examples["register"]["application/json"]["example"]
        made = await house.public.post(f"{path}/registrations", json=body)
        assert made.status_code == 201
        for media_type, sample in IMPORT_SAMPLES.items():
            assert examples["importRegistrations"][media_type]["example"] == sample
            report = await house.organizer.post(
                f"{path}/imports", content=sample, headers={"content-type": media_type}
            )
            assert '"accepted":1' in report.text
        changed = examples["changeRegistration"]["application/json"]["example"]
        link = made.json()["link"]
        assert (await house.public.patch(f"/v1/registrations/{link}", json=changed)).status_code == 200
        patch = examples["changeEvent"]["application/merge-patch+json"]["example"]
        assert (await house.organizer.patch(path, json=patch)).status_code == 200


async def test_the_page_to_try_it_has_every_operation():
    """The page shows each operation with a form to send it."""
    async with a_house(deciding=False) as house:
        page = (await house.public.get("/docs")).text
        for path, methods in (await described(house))["paths"].items():
            for method, operation in methods.items():
                assert f'id="{operation["operationId"]}"' in page
                assert f'data-method="{method.upper()}" data-path="{path}"' in page
