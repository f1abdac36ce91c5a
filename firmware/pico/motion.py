"""What the motion detector decides, without any hardware: all of it can be tried with numbers alone."""

import json

# As far as an HC-SR04 sees, in centimetres; where no echo comes back it is at least as far.
FARTHEST = 400.0


class Detector:
    """Learns how far away everything usually is, and says when something is nearer.

    Times are milliseconds of any clock that only grows; adapt is in how many samples the background follows what changes.
    """

    LEARNING, WATCHING, OCCUPIED = 0, 1, 2

    def __init__(self, learn, margin, debounce, cool_down, absorb, adapt):
        self.learn = learn
        self.margin = margin
        self.debounce = debounce
        self.cool_down = cool_down
        self.absorb = absorb
        self.adapt = adapt
        self.state = self.LEARNING
        self.background = FARTHEST
        # What was measured last before anything came, and when.
        self.undisturbed = FARTHEST
        self.undisturbed_at = 0
        self._samples = []
        self._count = 0
        self._since = 0
        self._triggered = None

    def sample(self, distance, now):
        """Takes a measurement in centimetres, None without an echo; says whether it is a trigger."""
        has_echo = distance is not None and distance <= FARTHEST
        if not has_echo:
            distance = FARTHEST
        if self.state == self.LEARNING:
            self._samples.append(distance)
            if len(self._samples) == self.learn:
                self.background = median(self._samples)
                self._note(self.background, now)
                self._samples = []
                self._enter(self.WATCHING)
            return False
        is_near = distance < self.background - self.margin
        if self.state == self.WATCHING:
            if not is_near:
                self._count = 0
                self._note(distance if has_echo else self.background, now)
                return False
            self._count += 1
            if self._count < self.debounce:
                return False
            self._since = now
            self._enter(self.OCCUPIED)
            if self._triggered is not None and now - self._triggered < self.cool_down:
                return False
            self._triggered = now
            return True
        # Back by half of the margin: who stands at the edge is not to trigger again and again.
        if distance >= self.background - self.margin / 2:
            self._count += 1
            if self._count >= self.debounce:
                self._note(distance if has_echo else self.background, now)
                self._enter(self.WATCHING)
        else:
            self._count = 0
            if now - self._since >= self.absorb:
                self._enter(self.LEARNING)
        return False

    def _note(self, distance, now):
        """Nobody is there, and this is how far one sees."""
        self.undisturbed, self.undisturbed_at = distance, now
        # Air, temperature and things that are moved away change slowly what is usual. An echo that is lost does not.
        self.background += (distance - self.background) / self.adapt

    def _enter(self, state):
        self.state = state
        self._count = 0


def median(numbers):
    ordered = sorted(numbers)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def minutes(words):
    """Of the day: "22:30" is 1350."""
    hours, rest = words.split(":")
    value = int(hours) * 60 + int(rest)
    if not 0 <= value <= 24 * 60 or not 0 <= int(rest) < 60:
        raise ValueError("no time of a day: " + words)
    return value


def is_armed(periods, minute):
    """Whether a minute of the day lies in one of the periods, which may go past midnight; without any, always."""
    if not periods:
        return True
    for start, end in periods:
        first, last = minutes(start), minutes(end)
        if first <= last:
            if first <= minute < last:
                return True
        elif minute >= first or minute < last:
            return True
    return False


def days(year, month, day):
    """Since 1 January 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms")."""
    if month <= 2:
        year -= 1
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def date(day):
    """Year, month and day of a day since 1970: the other way round."""
    day += 719468
    era = day // 146097
    of_era = day - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    of_month = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + era * 400 + (1 if month <= 2 else 0), month, of_month


def offset(seconds, winter, has_summer_time):
    """Minutes east of Greenwich at a moment in seconds since 1970.

    In the European Union summer is from the last Sunday of March to that of October, 01:00 UTC (Directive 2000/84/EC).
    """
    if not has_summer_time:
        return winter
    year = date(seconds // 86400)[0]

    def change(month):
        last = days(year, month, 31)
        # 1 January 1970 was a Thursday.
        return (last - (last + 4) % 7) * 86400 + 3600

    return winter + 60 if change(3) <= seconds < change(10) else winter


def timestamp(milliseconds, winter, has_summer_time):
    """RFC 3339: the date and the time on the wall, and the zone, of a moment in milliseconds since 1970."""
    seconds, rest = divmod(milliseconds, 1000)
    east = offset(seconds, winter, has_summer_time)
    local = seconds + east * 60
    year, month, day = date(local // 86400)
    of_day = local % 86400
    zone = "Z"
    if east:
        zone = "%s%02d:%02d" % ("+" if east > 0 else "-", abs(east) // 60, abs(east) % 60)
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03d%s" % (
        year, month, day, of_day // 3600, of_day // 60 % 60, of_day % 60, rest, zone)


def minute_of_day(seconds, winter, has_summer_time):
    """By the clock on the wall."""
    return (seconds + offset(seconds, winter, has_summer_time) * 60) % 86400 // 60


class Event:
    """A distance that is to be sent."""

    def __init__(self, number, distance, at):
        self.number = number
        self.distance = distance
        # By the board's clock of milliseconds: what time that was is known once a time server has answered.
        self.at = at


class Queue:
    """Events that wait, in order; when it is full the oldest makes way, and is counted."""

    def __init__(self, limit):
        self.limit = limit
        self.events = []
        self.dropped = 0
        self.reported = 0
        self._next = 0

    def add(self, distance, at):
        if len(self.events) == self.limit:
            self.events.pop(0)
            self.dropped += 1
        self.events.append(Event(self._next, distance, at))
        self._next += 1

    def settled(self, event, dropped):
        """It has arrived, and with it the number of those that made way until it was sent."""
        self.events.remove(event)
        self.reported = dropped


def payload(device, start, event, ts, dropped):
    """The JSON of an event: a reading of Sluice's.

    start: what tells this start of the board from all others. ts: None when the time is not known; the server then takes the
    time of arrival. dropped: how many made way, if that has not been told yet.
    """
    reading = {
        "device": device, "value": round(event.distance, 1), "unit": "cm", "id": "%s-%d" % (start, event.number)}
    if ts is not None:
        reading["ts"] = ts
    if dropped is not None:
        reading["tags"] = {"dropped": str(dropped)}
    return json.dumps(reading)


def is_name(words):
    """Whether Sluice takes this as the name of a device that is one level of a topic."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    if not 1 <= len(words) <= 128 or words[0] not in plain:
        return False
    return all(letter in plain or letter in "._:-" for letter in words)


class Retry:
    """When to try again: after a delay that grows to a minute, and differs between boards."""

    def __init__(self, random, longest=60_000):
        self.random = random
        self.longest = longest
        self.delay = 1_000
        self.since = 0
        self.wait = 0

    def is_due(self, now):
        return now - self.since >= self.wait

    def failed(self, now):
        self.since = now
        self.wait = self.delay // 2 + self.random() % self.delay
        self.delay = min(self.delay * 2, self.longest)

    def succeeded(self):
        self.delay = 1_000
        self.wait = 0
