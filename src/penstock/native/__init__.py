"""The native lane's kernel: C without Python's headers, called by :mod:`ctypes`, so that no call holds the GIL.

It is there where a C compiler was when Penstock was installed, and in its wheels. Nothing needs it: without it, or with
``PENSTOCK_NATIVE=0``, all goes through SQL, to the same rows and at about twice the CPU.
"""
