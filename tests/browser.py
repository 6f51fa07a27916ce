"""A real browser for tests: headless Chromium, driven over its DevTools protocol. Nothing to install but Chromium."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(FOUND is None, reason=f"no browser here: install one of {', '.join(NAMES)}")
KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowUp": 38,
    "ArrowDown": 40,
}


class Browser:
    """`with Browser() as browser:` one page; what it asked for, and what its console said, are kept."""

    def __enter__(self) -> Browser:
        import websocket  # jupyter_server brings websocket-client

        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = ["--headless", "--no-first-run", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        options += [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
        ]  # it only sees our pages
        options += [f"--user-data-dir={self.folder.name}", "--remote-allow-origins=*", "about:blank"]
        self.process = subprocess.Popen([FOUND, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = _until(lambda: (Path(self.folder.name) / "DevToolsActivePort").read_text().split()[0])
        pages = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
        (address,) = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
        self.socket, self.sent = websocket.create_connection(address, timeout=60), 0
        self.requests: list[str] = []  # addresses
        self.errors: list[str] = []  # of the console, and exceptions
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; events that arrive meanwhile are noted."""
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while (message := json.loads(self.socket.recv())).get("id") != self.sent:
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def _note(self, message: dict[str, Any]) -> None:
        about, what = message.get("params", {}), message.get("method")
        if what == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.errors.append(about["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif what == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        elif what == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.errors.append(str([argument.get("value") for argument in about["args"]]))

    def open(self, address: str, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Load a page and wait for it; `requests` and `errors` begin anew."""
        self.resize(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.do("Emulation.setEmulatedMedia", features=scheme)
        self.requests, self.errors = [], []
        self.do("Page.navigate", url=address)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def resize(self, width: int, height: int = 900) -> None:
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", found["exceptionDetails"]))
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true (an element counts as true)."""
        _until(lambda: self.js(f"Promise.resolve({expression}).then(Boolean)"), seconds, expression)

    def press(self, key: str, shift: bool = False, control: bool = False) -> None:
        """One key, as from a keyboard."""
        about = {
            "key": key,
            "code": f"Key{key.upper()}" if len(key) == 1 else key,
            "modifiers": 8 * shift + 2 * control,
        }
        about["windowsVirtualKeyCode"] = KEYS.get(key, ord(key.upper()[0]))
        text = {"text": "\r"} if key == "Enter" else {}
        self.do("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.do("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        self.do("Input.insertText", text=text)

    def screenshot(self, path: Path, whole: bool = False) -> None:
        data = self.do("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """The page as it prints, on A4."""
        size = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True, "printBackground": True}
        return base64.b64decode(self.do("Page.printToPDF", **size)["data"])


def check_page(browser: Browser, address: str) -> list[str]:
    """What is wrong with a page at 390 and at 1200 pixels: requests, errors, a page wider than the screen, pictures."""
    browser.open(address, 390)
    found = [f"asks for {url[:80]}" for url in browser.requests if not url.startswith(("file:", "data:"))]
    found += browser.errors
    for width in (390, 1200):
        browser.resize(width)
        if (wide := browser.js("document.documentElement.scrollWidth")) > width:
            found.append(f"{wide} pixels wide on a screen of {width}")
    images = "[...document.images].filter(image => !image.complete || !image.naturalWidth || !image.alt).length"
    return found + ["a picture is missing or not described"] * browser.js(images)


def tab_through(browser: Browser, most: int = 400) -> tuple[int, int]:
    """(what a keyboard must reach, what it reaches with Tab): links, closed details, boxes that scroll."""
    wanted = "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"], button, input')].filter(e => e.checkVisibility())"
    browser.js("window.reached = new Set()")
    for _ in range(most):
        browser.press("Tab")
        if browser.js(
            "document.activeElement === document.body || reached.size === reached.add(document.activeElement).size"
        ):
            break
    return browser.js(f"{wanted}.length"), browser.js(f"{wanted}.filter(e => reached.has(e)).length")


def _until(found: Any, seconds: float = 30, what: str = "the browser") -> Any:
    end = time.time() + seconds
    while time.time() < end:
        try:
            if value := found():
                return value
        except (OSError, IndexError, RuntimeError):  # not yet
            pass
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} seconds for {what}")
