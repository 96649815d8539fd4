# SPDX-License-Identifier: Apache-2.0
"""Bytes in, values out, and back: canonical JSON, typed records, DSSE, tensors.

Strict and pure: every parser caps the size before it looks at the content and has ``encode`` as its exact inverse; nothing
here opens a file or a socket. Anybody may call it; it imports nothing of ours but errors and digests.
"""
