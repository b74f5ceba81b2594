#!/usr/bin/env python3
"""Makes the two files of the website that nobody would write by hand: an image and a large page."""

import pathlib
import struct
import zlib

FILES = pathlib.Path(__file__).resolve().parent.parent / "Files"


def png(width, height, pixel):
    """A PNG (ISO/IEC 15948), eight bits a channel, of what `pixel(x, y)` says."""
    rows = b"".join(
        b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


# What one machine carries: a conventional stack, and ours. Widths are the share of the picture.
BARS = [
    [(0.20, (255, 122, 61)), (0.17, (120, 134, 156)), (0.22, (96, 110, 134)), (0.41, (72, 86, 110))],
    [(0.20, (255, 122, 61)), (0.05, (56, 189, 148))],
]


def layers(width, height):
    """Two bars: the application in orange, what lies under it in grey or green."""
    def pixel(x, y):
        background = (16, 22, 34)
        bar = 0 if height * 0.12 < y < height * 0.42 else 1 if height * 0.58 < y < height * 0.88 else None
        if bar is None:
            return background
        left = width * 0.04
        for share, colour in BARS[bar]:
            right = left + share * width * 0.92
            if left + 1 < x < right - 1:
                return colour
            left = right
        return background
    return png(width, height, pixel)


def factors(number):
    result, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            result.append(divisor)
            number //= divisor
        divisor += 1
    return result + ([number] if number > 1 else [])


def table(size):
    """A page of `size` octets, give or take a row: numbers and what they are made of."""
    parts = ["""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page of a megabyte · Swiftlet</title>
<link rel="stylesheet" href="style.css">
<link rel="icon" href="images/logo.svg">
<main>
<p><a href="./">Swiftlet</a></p>
<h1>A page of a megabyte</h1>
<p>Numbers and their prime factors: large enough to fill windows, wrap rings and be resumed with
range requests half way through.</p>
<table>
<tr><th>Number</th><th>Square</th><th>Cube</th><th>Factors</th></tr>
"""]
    length, number = len(parts[0]), 2
    while length < size:
        row = "<tr><td>%d</td><td>%d</td><td>%d</td><td>%s</td></tr>\n" % (
            number, number ** 2, number ** 3, " × ".join(map(str, factors(number))))
        parts.append(row)
        length += len(row.encode())
        number += 1
    parts.append("</table>\n</main>\n</html>\n")
    return "".join(parts).encode()


(FILES / "images/layers.png").write_bytes(layers(640, 200))
(FILES / "numbers.html").write_bytes(table(1 << 20))
