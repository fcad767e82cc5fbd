#!/bin/sh
# Succeeds when gcc, the headers of this Python and those of PC/SC are here.
python_headers=$("${PYTHON:-python3}" -c 'import sysconfig; print(sysconfig.get_path("include"))')
gcc -fsyntax-only -x c -I"$python_headers" -I/usr/include/PCSC - >/dev/null 2>&1 <<C
#include <Python.h>
#include <winscard.h>
C
