//! Ids and nonces that count up, for tests.

use uuid::Uuid;

use super::session::Stamp;

#[derive(Default)]
pub(super) struct Counting(u128);

impl Stamp for Counting {
    fn id(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }

    fn created(&mut self) -> u64 {
        1_700_000_000_000
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        self.0 += 1;
        nonce.copy_from_slice(&self.0.to_be_bytes()[4..]);
        nonce
    }
}
