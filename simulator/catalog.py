"""What the synthetic product is made of: keys of a row, event types, devices, places, pages and goods."""

from typing import TypeAlias

Row: TypeAlias = dict[str, object]

# In the order in which Amplitude writes them. `user_geo_source` joins half-way through a product's life.
KEYS = (
    "$insert_id",
    "$insert_key",
    "$schema",
    "adid",
    "amplitude_attribution_ids",
    "amplitude_event_type",
    "amplitude_id",
    "app",
    "city",
    "client_event_time",
    "client_upload_time",
    "country",
    "data",
    "data_type",
    "device_brand",
    "device_carrier",
    "device_family",
    "device_id",
    "device_manufacturer",
    "device_model",
    "device_type",
    "dma",
    "event_id",
    "event_properties",
    "event_time",
    "event_type",
    "global_user_properties",
    "group_properties",
    "groups",
    "idfa",
    "ip_address",
    "is_attribution_event",
    "language",
    "library",
    "location_lat",
    "location_lng",
    "os_name",
    "os_version",
    "partner_id",
    "paying",
    "plan",
    "platform",
    "processed_time",
    "region",
    "sample_rate",
    "server_received_time",
    "server_upload_time",
    "session_id",
    "source_id",
    "start_version",
    "user_creation_time",
    "user_geo_source",
    "user_id",
    "user_properties",
    "uuid",
    "version_name",
)
NEW_KEY = "user_geo_source"

DATA: Row = {"path": "/2/httpapi", "group_first_event": {}, "group_ids": {}}
DATA_WITH_USER_PROPERTIES: Row = {
    "path": "/2/httpapi",
    "user_properties_updated": True,
    "group_first_event": {},
    "group_ids": {},
}

BLANK_ROW: Row = dict.fromkeys(KEYS) | {
    "data": DATA,
    "data_type": "event",
    "event_properties": {},
    "group_properties": {},
    "groups": {},
    "plan": {},
    "user_properties": {},
}

SESSION_START = "session_start"
SESSION_END = "session_end"
PAGE_VIEWED = "[Amplitude] Page Viewed"
SCREEN_VIEWED = "Screen Viewed"
SIGNED_UP = "Signed Up"
LOGGED_IN = "Logged In"
LOGGED_OUT = "Logged Out"
SEARCHED = "Search Performed"
PRODUCT_VIEWED = "Product Viewed"
PRODUCT_ADDED = "Product Added"
CHECKOUT_STARTED = "Checkout Started"
ORDER_COMPLETED = "Order Completed"
SETTINGS_SAVED = "Settings Saved"
PUSH_RECEIVED = "Push Received"
ORDER_PAID = "Order Paid"
DELIVERY_SCHEDULED = "Delivery Scheduled"
EXPOSURE = "[Experiment] Exposure"

EVENT_TYPES = (
    SESSION_START,
    SESSION_END,
    PAGE_VIEWED,
    SCREEN_VIEWED,
    SIGNED_UP,
    LOGGED_IN,
    LOGGED_OUT,
    SEARCHED,
    PRODUCT_VIEWED,
    PRODUCT_ADDED,
    CHECKOUT_STARTED,
    ORDER_COMPLETED,
    SETTINGS_SAVED,
    PUSH_RECEIVED,
    ORDER_PAID,
    DELIVERY_SCHEDULED,
)
INACTIVE_EVENT_TYPES = frozenset({SESSION_START, SESSION_END, PUSH_RECEIVED})

VIEW = "view"  # a page on the web, a screen in an app
# What follows what, with the cumulative chance of each step.
NEXT_STEPS: dict[str, tuple[tuple[float, str], ...]] = {
    VIEW: ((0.45, VIEW), (0.60, SEARCHED), (0.95, PRODUCT_VIEWED), (1.0, SETTINGS_SAVED)),
    SEARCHED: ((0.20, VIEW), (0.35, SEARCHED), (1.0, PRODUCT_VIEWED)),
    PRODUCT_VIEWED: ((0.35, VIEW), (0.70, PRODUCT_VIEWED), (1.0, PRODUCT_ADDED)),
    PRODUCT_ADDED: ((0.30, VIEW), (0.55, PRODUCT_VIEWED), (1.0, CHECKOUT_STARTED)),
    CHECKOUT_STARTED: ((0.30, VIEW), (0.40, CHECKOUT_STARTED), (1.0, ORDER_COMPLETED)),
    ORDER_COMPLETED: ((1.0, VIEW),),
    SETTINGS_SAVED: ((1.0, VIEW),),
}

WEB_LIBRARY = "amplitude-ts/2.16.1"
IOS_LIBRARY = "amplitude-swift/1.13.6"
ANDROID_LIBRARY = "amplitude-analytics-android/1.20.2"


def _web(family: str, device_type: str | None, browser: str, version: str) -> Row:
    return {
        "platform": "Web",
        "library": WEB_LIBRARY,
        "device_family": family,
        "device_type": device_type,
        "os_name": browser,
        "os_version": version,
    }


def _ios(family: str, version: str) -> Row:
    return {
        "platform": "iOS",
        "library": IOS_LIBRARY,
        "device_family": family,
        "device_carrier": "Unknown",
        "device_type": family,
        "os_name": "ios",
        "os_version": version,
    }


def _android(family: str, carrier: str, version: str) -> Row:
    return {
        "platform": "Android",
        "library": ANDROID_LIBRARY,
        "device_family": family,
        "device_carrier": carrier,
        "device_type": "Android",
        "os_name": "android",
        "os_version": version,
    }


WEB_DEVICES = (
    _web("Windows", "Windows", "Chrome", "137"),
    _web("Windows", "Windows", "Edge", "143"),
    _web("Mac OS X", "Mac", "Chrome", "137"),
    _web("Mac OS X", "Mac", "Safari", "18"),
    _web("Linux", "Linux", "Firefox", "139"),
    _web("iOS", "Apple iPhone", "Mobile Safari", "18"),
)
MOBILE_DEVICES = (
    _ios("Apple iPhone", "18.5"),
    _ios("Apple iPhone", "17.6.1"),
    _ios("Apple iPad", "18.4"),
    _android("Samsung Galaxy Phone", "Telekom.de", "15"),
    _android("Google Pixel Phone", "T-Mobile", "16"),
    _android("Xiaomi Phone", "Orange F", "14"),
)

PLACES: tuple[Row, ...] = (
    {"country": "Germany", "region": "Land Berlin", "city": "Berlin", "language": "German"},
    {"country": "Germany", "region": "Bavaria", "city": "München", "language": "German"},
    {"country": "France", "region": "Île-de-France", "city": "Paris", "language": "French"},
    {"country": "United Kingdom", "region": "England", "city": "London", "language": "English"},
    {"country": "Poland", "region": "Łódź Voivodeship", "city": "Łódź", "language": "Polish"},
    {"country": "Spain", "region": "Madrid", "city": "Madrid", "language": "Spanish"},
    {"country": "Japan", "region": "Tokyo", "city": "東京", "language": "Japanese"},
    {
        "country": "United States",
        "region": "Connecticut",
        "city": "Hartford",
        "language": "English",
        "dma": "Hartford & New Haven, CT",
    },
    {
        "country": "United States",
        "region": "New York",
        "city": "New York",
        "language": "English",
        "dma": "New York, NY",
    },
)
GEO_SOURCES = ("ip", "ip", "location_services", None)
COMPANIES = ("acme", "Müller & Söhne", "O'Neill Ltd", 'The "Best" Co')

VERSIONS = ("3.1.0", "3.1.1", "3.2.0", "3.3.0-beta.1", "3.3.0")
DAYS_A_VERSION = 12

_UTM_KEYS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")
_REFERRER_KEYS = ("referrer", "referring_domain")
_CLICK_IDS = ("gclid", "dclid", "fbclid", "msclkid", "ttclid", "twclid", "li_fat_id", "rtd_cid", "gbraid", "wbraid")
CAMPAIGNS: tuple[dict[str, str], ...] = (
    {},
    {"referrer": "https://www.google.com/", "referring_domain": "www.google.com"},
    {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "spring sale"},
    {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "brand", "gclid": "Cj0KCQjw"},
    {"utm_source": "partner", "utm_medium": "affiliate", "utm_campaign": "zürich-50%"},
)
# What a visitor brought along at first; Amplitude writes "EMPTY" for what was not there.
FIRST_TOUCHES: tuple[Row, ...] = tuple(
    {f"initial_{key}": campaign.get(key, "EMPTY") for key in (*_UTM_KEYS, *_REFERRER_KEYS, *_CLICK_IDS)}
    for campaign in CAMPAIGNS
)

ODD_PROPERTIES: tuple[Row, ...] = (
    {"it's": "on", 'say "hi"': True, "größe": "XL", "a.b": 1, "$price": 1.0, "with blanks in it": None},
    {"big": 9007199254740993, "ratio": 0.1, "flag": False, "empty": "", "object": {}, "list": [], "exp": 1.5e-7},
    {"theme": {"name": "dunkel", "levels": [1, 1.0, "1", None, True, {"x": []}]}, "[list] of": ["a", "b"], "🙂": "👍"},
    {"path": "C:\\temp\\new", "text": "two\nlines\tand a tab", "html": "<b>&amp;</b>", "a": {"b": 1}, "a.b": 2},
    {"mixed": 1, "null": None, "True": "true", "number as text": "1"},
    {"mixed": "one", "null": "null", "negative": -42, "int64": 9223372036854775807},
)
ODD_USER_PROPERTIES: tuple[Row, ...] = (
    {"favourite's": "tea", "größe": "M", "tags": ["a", "b"], "address": {"city": "Zürich", "zip": None}},
    {"vip": True, "score": 1.0, "note": "", "legacy_id": 9007199254740993, "prefs": {}},
)

PAGES: tuple[Row, ...] = tuple(
    {
        "[Amplitude] Page Path": path,
        "[Amplitude] Page Title": title,
        "[Amplitude] Page URL": f"https://shop.example.com{path}",
        "[Amplitude] Page Counter": counter,
    }
    for counter, (path, title) in enumerate(
        (("/", "Home"), ("/sale", "Sale: 50 %"), ("/größen", "Größen"), ("/help", "We're here to help")), start=1
    )
)
SCREENS: tuple[Row, ...] = tuple({"Current Screen": name} for name in ("Home", "Sale", "Profile", "Help & FAQ"))
SEARCHES: tuple[Row, ...] = (
    {"query": "lamp", "results": 12, "filters": {"colour": ["red", "blue"], "price": {"max": 100}}},
    {"query": "Tür", "results": 0, "filters": {}},
    {"query": "chair 'oak'", "results": 3, "filters": None},
)
GOODS: tuple[Row, ...] = tuple(
    {"product_id": f"P-{number}", "category": category, "$price": price, "in stock": number % 5 != 0}
    for number, (category, price) in enumerate(
        [(category, price) for category in ("Lamps", "Chairs", "Küche", "Bücher") for price in (5, 10.0, 19.9, 249.0)]
    )
)
