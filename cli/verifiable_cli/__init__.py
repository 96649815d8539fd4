# SPDX-License-Identifier: Apache-2.0
"""The command line: parse options, call the library, print. No decision is made here that a library caller would miss."""
