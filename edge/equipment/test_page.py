"""One page that shows that a printer prints: PDF 1.4 by hand, with a font that every printer has."""

from __future__ import annotations

A4_WIDTH_PT, A4_HEIGHT_PT = 595, 842
MARGIN_PT = 48
LINES = ("Suozhan", "Printer test page / da yin ji ce shi ye", "If you can read this, the printer works.")


def test_page() -> bytes:
    """A frame along the edges, so that what is cut off shows, and a few lines."""
    text = " ".join(f"({line}) Tj 0 -30 Td" for line in LINES)
    drawing = (f"1 w {MARGIN_PT} {MARGIN_PT} {A4_WIDTH_PT - 2 * MARGIN_PT} {A4_HEIGHT_PT - 2 * MARGIN_PT} re S "
               f"BT /F1 22 Tf {2 * MARGIN_PT} {A4_HEIGHT_PT - 3 * MARGIN_PT} Td {text} ET").encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {A4_WIDTH_PT} {A4_HEIGHT_PT}] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawing), drawing),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return _document(objects)


def _document(objects: list[bytes]) -> bytes:
    document, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(document))
        document += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(document))
    return document + b"xref\n0 %d\n0000000000 65535 f \n%b%b" % (len(objects) + 1, table, end)
