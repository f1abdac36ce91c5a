"""The detector's decisions, within MicroPython. Prints `ok` at the end."""

import motion


def triggers(curve, step=100, **more):
    """The numbers of the samples that triggered."""
    options = {"learn": 5, "margin": 30.0, "debounce": 3, "cool_down": 5_000, "absorb": 60_000, "adapt": 20}
    options.update(more)
    detector = motion.Detector(**options)
    return [number for number, distance in enumerate(curve) if detector.sample(distance, number * step)]


FAR = [200.0] * 10
# name, distances in centimetres every 100 ms, samples that trigger
CURVES = [
    ("nothing happens", [200.0] * 500, []),
    ("noise within the margin", [200.0 + (number * 37 % 50) - 25 for number in range(500)], []),
    ("somebody passes", FAR + [80.0] * 10 + FAR, [12]),
    ("a wrong echo or two", FAR + [80.0] * 2 + FAR + [50.0] + FAR, []),
    ("nearer by just less than the margin", FAR + [170.1] * 50, []),
    ("nearer by just more", FAR + [169.0] * 50, [12]),
    ("stays for long", FAR + [80.0] * 300, [12]),
    ("comes again within the cool-down", FAR + [80.0] * 5 + FAR + [80.0] * 5 + FAR, [12]),
    ("comes again after it", FAR + [80.0] * 5 + [200.0] * 60 + [80.0] * 5, [12, 77]),
    ("stays over the end of the cool-down", FAR + [80.0] * 5 + FAR + [80.0] * 200, [12]),
    ("stands at the edge", FAR + [169.0, 171.0, 169.0] * 100, []),
    ("at the edge, then just beyond it", FAR + [160.0] * 5 + [175.0] * 100 + [160.0] * 100, [12]),
    ("nothing to hear, then somebody", [None] * 20 + [300.0] * 5, [22]),
    ("no echo is far, not near", FAR + [None] * 100, []),
    ("echoes are lost for long, and come again", FAR + [None] * 300 + [200.0] * 100 + [80.0] * 3, [412]),
    ("beyond the sensor's range", [900.0] * 20 + [390.0] * 20, []),
    ("the first samples have errors", [200.0, None, 5.0, 200.0, 201.0] + [200.0] * 5 + [80.0] * 5, [12]),
    ("something is moved away slowly", [200.0 + number * 0.5 for number in range(200)] + [240.0] * 5, [202]),
    ("a chair is put there", FAR + [120.0] * 700 + [60.0] * 5, [12, 712]),
    ("too few to learn", [200.0] * 4, []),
]


def check_curves():
    for name, curve, expected in CURVES:
        found = triggers(curve)
        assert found == expected, (name, found, expected)
    assert triggers(FAR + [80.0], debounce=1) == [10]
    assert triggers(FAR + [80.0] * 5 + FAR + [80.0] * 5, cool_down=0) == [12, 27]
    detector = motion.Detector(5, 30.0, 3, 5_000, 60_000, 600)
    for number, distance in enumerate(FAR + [201.5, 80.0, 80.0, 80.0]):
        detector.sample(distance, number * 100)
    assert (detector.undisturbed, detector.undisturbed_at) == (201.5, 1000)
    # One comes right after the other: what was between them counts.
    for number, distance in enumerate([202.0, 203.0, 204.0, 80.0, 80.0, 80.0]):
        detector.sample(distance, 2000 + number * 100)
    assert (detector.undisturbed, detector.undisturbed_at) == (204.0, 2200)


def check_hours():
    def armed(periods):
        return [minute for minute in range(1440) if motion.is_armed(periods, minute)]

    assert len(armed([])) == 1440
    assert armed([("22:00", "06:00")]) == list(range(360)) + list(range(1320, 1440))
    assert armed([("08:30", "09:00"), ("23:59", "24:00")]) == list(range(510, 540)) + [1439]
    assert armed([("09:00", "09:00")]) == []
    for wrong in ("25:00", "7", "12:60", "a:b"):
        try:
            motion.minutes(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)


def check_queue():
    queue = motion.Queue(3)
    for number in range(5):
        queue.add(float(number), number)
    assert [event.number for event in queue.events] == [2, 3, 4]
    assert (queue.dropped, queue.reported) == (2, 0)
    queue.settled(queue.events[0], 2)
    assert (queue.reported, [event.number for event in queue.events]) == (2, [3, 4])
    event = motion.Event(7, 123.456, 0)
    words = motion.payload('d"\\', "b", event, None, None)
    assert motion.json.loads(words) == {"device": 'd"\\', "value": 123.5, "unit": "cm", "id": "b-7"}, words
    words = motion.payload("d", "b", event, "2026-11-21T03:15:18.000+01:00", 4)
    assert motion.json.loads(words)["tags"] == {"dropped": "4"}
    assert motion.json.loads(words)["ts"] == "2026-11-21T03:15:18.000+01:00"


def check_names():
    for name in ("a", "pico-1", "A.b_c:9", "0" * 128):
        assert motion.is_name(name), name
    for name in ("", "-a", "a b", "a/b", "ä", "0" * 129, "#"):
        assert not motion.is_name(name), name


def check_retry():
    retry = motion.Retry(lambda: 123_456_789)
    assert retry.is_due(0)
    for number in range(20):
        retry.failed(number)
        assert 500 <= retry.wait < 90_000
        assert not retry.is_due(number) and retry.is_due(number + retry.wait)
    retry.succeeded()
    retry.failed(0)
    assert retry.wait < 1_500


def check_times():
    import sys

    for line in sys.stdin:
        moment, winter, summer = line.split()
        print(motion.timestamp(int(moment), int(winter), summer == "1"), motion.minute_of_day(int(moment) // 1000, int(winter), summer == "1"))


check_curves()
check_hours()
check_queue()
check_names()
check_retry()
check_times()
print("ok")
