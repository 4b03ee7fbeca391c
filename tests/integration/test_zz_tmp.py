from tests.integration.test_gateway_openapi import *
from tests.integration.conftest import *
def test_events_only(closed):
    done = explore(closed, f"http://127.0.0.1:{closed.port}/v1/openapi.json", "--max-examples", "40", "--include-path", "/v1/events")
    print(done.stdout[-6000:]); assert done.returncode == 0
