"""Drives a headless Chromium over its debugging pipe; needs no other package.

The pipe speaks the DevTools protocol: JSON messages that end with a zero byte, written
to the browser's file descriptor 3 and read from descriptor 4.
"""

import base64
import json
import os
import re
import select
import shutil
import subprocess
import time

PATH = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
TIMEOUT_SECONDS = 60


def page_data(text):
    """Returns the JSON embedded in a page of poph_tf.rendering."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))


class Page:
    """A page in its own browser; a context manager.

    Args:
        url: str.
        profile: path of an empty folder for the browser's files.
        size: (width, height) of the window.
    """

    def __init__(self, url, profile, size=(1200, 900)):
        to_browser, from_browser = os.pipe(), os.pipe()
        # 3 and 4 may be in use in this process, so only the child sets them up.
        shell = f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        window = f"--window-size={size[0]},{size[1]}"
        self.process = subprocess.Popen(
            ["bash", "-c", shell, PATH, *FLAGS, window, f"--user-data-dir={profile}"],
            pass_fds=(to_browser[0], from_browser[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        self.output, self.input = to_browser[1], from_browser[0]
        self.buffer, self.count, self.session, self.events = b"", 0, None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.send(f"{domain}.enable")
        self.send("Page.navigate", url=url)
        self.wait(
            "document.readyState === 'complete' && location.href !== 'about:blank'"
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        os.close(self.output)
        os.close(self.input)

    def send(self, method, **parameters):
        """Sends a command and returns its answer; keeps the events in between."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self):
        while b"\0" not in self.buffer:
            if not select.select([self.input], [], [], TIMEOUT_SECONDS)[0]:
                raise TimeoutError("The browser does not answer.")
            chunk = os.read(self.input, 1 << 20)
            if not chunk:
                raise RuntimeError("The browser has ended.")
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, expression):
        """Returns a JavaScript expression's value, awaited if it is a promise."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True,
            returnByValue=True, userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, condition):
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not self.evaluate(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"Never became true: {condition}")
            time.sleep(0.02)

    def click(self, selector, x=0.5, y=0.5):
        """Clicks an element at a point given as fractions of its width and height."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]; })()"
        )
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1,
                **place,
            )  # fmt: skip

    def press(self, key):
        """Presses a key with its DOM name, such as " " or "ArrowRight"."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def screenshot(self, path):
        """Writes a screenshot of the window as .png."""
        image = self.send("Page.captureScreenshot")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(image))

    def seen(self, method):
        """Returns the parameters of all events of a kind so far."""
        self.evaluate("0")  # reads pending events
        return [e["params"] for e in self.events if e.get("method") == method]
