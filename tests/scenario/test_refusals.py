"""A request that is refused: what that says about its file, about its job, and about nobody else."""


def refuse(s, name, status, **options):
    """Every request that names this file."""
    options = {"times": None, "path": "run-now", **options}
    return s.api.fault(options.pop("kind", "status"), body=name, status=status, **options)


# --- what a file is called --------------------------------------------------------------------------------------------

def test_a_file_name_slows_nobody_down(service):
    """The service quotes it, and it reads like the words of a service that has too much to do."""
    s = service().start()
    names = ["exceeding rate limit", "REQUEST_LIMIT_EXCEEDED", "Timed out after 1", "Unexpected error"]
    for name in names:
        refuse(s, name, 400, error_code="INVALID_PARAMETER_VALUE", message=f"path: value {name}.csv is not allowed")
    bad = [s.put(f"{name}.csv") for name in names]
    good = [s.put(f"good-{n}.csv") for n in range(30)]
    for path in bad:
        [event] = s.wait_event("start.failed", path=str(path))
        assert event["reason"] == "bad_request" and event["attempts"] == 1
    for path in good:
        s.wait_run(path)
    assert "too many requests" not in s.err() and s.events("start.retrying") == []
