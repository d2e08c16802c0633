//! Everything that is read from the wire, from any bytes: nothing panics, and what is understood survives being
//! written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ssmx_fuzz::ids::Version;
use ssmx_fuzz::protocol::handshake::{Key, Request, customer_message};
use ssmx_fuzz::protocol::message::Message;
use ssmx_fuzz::protocol::payload::{Acknowledgement, ChannelClosed, Flag, exit_code};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        let again = Message::decode(&message.encode()).expect("what was read can be written");
        assert_eq!(again, message);
        payload(&message.payload);
    }
    payload(bytes);
});

fn payload(bytes: &[u8]) {
    if let Some(acknowledgement) = Acknowledgement::decode(bytes) {
        let again = Acknowledgement::decode(&acknowledgement.encode());
        let number = again.map(|again| again.acknowledged_message_sequence_number);
        assert_eq!(number, Some(acknowledgement.acknowledged_message_sequence_number));
    }
    let _ = ChannelClosed::decode(bytes);
    if let Some(flag) = Flag::decode(bytes) {
        assert_eq!(Flag::decode(&flag.encode()), Some(flag));
    }
    let _ = exit_code(bytes);
    let _ = customer_message(bytes);
    if let Some(request) = Request::decode(bytes) {
        let _ = request.wish();
        let _ = request.answer("1.2.835.0", Key::Ciphertext(b"ciphertext"));
        let _ = request.answer("1.2.835.0", Key::Refused("denied"));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(version) = text.parse::<Version>()
    {
        assert_eq!(version.to_string().parse::<Version>().ok(), Some(version));
    }
}
