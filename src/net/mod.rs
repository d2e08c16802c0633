//! What all connections share: the process's one store of TLS roots, and the CONNECT proxy.
