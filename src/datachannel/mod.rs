//! The data channel's socket: WebSocket, timers and reconnects around the logic of [`crate::protocol`].
