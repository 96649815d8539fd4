# SPDX-License-Identifier: Apache-2.0
"""One module per command or command group, imported only when it is called."""
