//! The traces of RFC 8448: handshakes that Mozilla's NSS made, with all keys.

use super::*;

const RANDOM: &str = "cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7";

/// Section 3, a simple handshake.
const HELLO: &str = "
    16 03 01 00 c4 01 00 00 c0 03 03 cb 34 ec b1 e7 81 63 ba 1c 38 c6 da cb 19 6a 6d ff a2 1a 8d
    99 12 ec 18 a2 ef 62 83 02 4d ec e7 00 00 06 13 01 13 03 13 02 01 00 00 91 00 00 00 0b 00 09
    00 00 06 73 65 72 76 65 72 ff 01 00 01 00 00 0a 00 14 00 12 00 1d 00 17 00 18 00 19 01 00 01
    01 01 02 01 03 01 04 00 23 00 00 00 33 00 26 00 24 00 1d 00 20 99 38 1d e5 60 e4 bd 43 d2 3d
    8e 43 5a 7d ba fe b3 c0 6e 51 c1 3c ae 4d 54 13 69 1e 52 9a af 2c 00 2b 00 03 02 03 04 00 0d
    00 20 00 1e 04 03 05 03 06 03 02 03 08 04 08 05 08 06 04 01 05 01 06 01 02 01 04 02 05 02 06
    02 02 02 00 2d 00 02 01 01 00 1c 00 02 40 01";
const SERVER_HELLO: &str = "
    16 03 03 00 5a 02 00 00 56 03 03 a6 af 06 a4 12 18 60 dc 5e 6e 60 24 9c d3 4c 95 93 0c 8a c5
    cb 14 34 da c1 55 77 2e d3 e2 69 28 00 13 01 00 00 2e 00 33 00 24 00 1d 00 20 c9 82 88 76 11
    20 95 fe 66 76 2b db f7 c6 72 e1 56 d6 cc 25 3b 83 3d f1 dd 69 b1 b0 4e 75 1f 0f 00 2b 00 02
    03 04";
/// EncryptedExtensions, Certificate, CertificateVerify, Finished.
const FLIGHT: &str = "
    17 03 03 02 a2 d1 ff 33 4a 56 f5 bf f6 59 4a 07 cc 87 b5 80 23 3f 50 0f 45 e4 89 e7 f3 3a f3
    5e df 78 69 fc f4 0a a4 0a a2 b8 ea 73 f8 48 a7 ca 07 61 2e f9 f9 45 cb 96 0b 40 68 90 51 23
    ea 78 b1 11 b4 29 ba 91 91 cd 05 d2 a3 89 28 0f 52 61 34 aa dc 7f c7 8c 4b 72 9d f8 28 b5 ec
    f7 b1 3b d9 ae fb 0e 57 f2 71 58 5b 8e a9 bb 35 5c 7c 79 02 07 16 cf b9 b1 18 3e f3 ab 20 e3
    7d 57 a6 b9 d7 47 76 09 ae e6 e1 22 a4 cf 51 42 73 25 25 0c 7d 0e 50 92 89 44 4c 9b 3a 64 8f
    1d 71 03 5d 2e d6 5b 0e 3c dd 0c ba e8 bf 2d 0b 22 78 12 cb b3 60 98 72 55 cc 74 41 10 c4 53
    ba a4 fc d6 10 92 8d 80 98 10 e4 b7 ed 1a 8f d9 91 f0 6a a6 24 82 04 79 7e 36 a6 a7 3b 70 a2
    55 9c 09 ea d6 86 94 5b a2 46 ab 66 e5 ed d8 04 4b 4c 6d e3 fc f2 a8 94 41 ac 66 27 2f d8 fb
    33 0e f8 19 05 79 b3 68 45 96 c9 60 bd 59 6e ea 52 0a 56 a8 d6 50 f5 63 aa d2 74 09 96 0d ca
    63 d3 e6 88 61 1e a5 e2 2f 44 15 cf 95 38 d5 1a 20 0c 27 03 42 72 96 8a 26 4e d6 54 0c 84 83
    8d 89 f7 2c 24 46 1a ad 6d 26 f5 9e ca ba 9a cb bb 31 7b 66 d9 02 f4 f2 92 a3 6a c1 b6 39 c6
    37 ce 34 31 17 b6 59 62 22 45 31 7b 49 ee da 0c 62 58 f1 00 d7 d9 61 ff b1 38 64 7e 92 ea 33
    0f ae ea 6d fa 31 c7 a8 4d c3 bd 7e 1b 7a 6c 71 78 af 36 87 90 18 e3 f2 52 10 7f 24 3d 24 3d
    c7 33 9d 56 84 c8 b0 37 8b f3 02 44 da 8c 87 c8 43 f5 e5 6e b4 c5 e8 28 0a 2b 48 05 2c f9 3b
    16 49 9a 66 db 7c ca 71 e4 59 94 26 f7 d4 61 e6 6f 99 88 2b d8 9f c5 08 00 be cc a6 2d 6c 74
    11 6d bd 29 72 fd a1 fa 80 f8 5d f8 81 ed be 5a 37 66 89 36 b3 35 58 3b 59 91 86 dc 5c 69 18
    a3 96 fa 48 a1 81 d6 b6 fa 4f 9d 62 d5 13 af bb 99 2f 2b 99 2f 67 f8 af e6 7f 76 91 3f a3 88
    cb 56 30 c8 ca 01 e0 c6 5d 11 c6 6a 1e 2a c4 c8 59 77 b7 c7 a6 99 9b bf 10 dc 35 ae 69 f5 51
    56 14 63 6c 0b 9b 68 c1 9e d2 e3 1c 0b 3b 66 76 30 38 eb ba 42 f3 b3 8e dc 03 99 f3 a9 f2 3f
    aa 63 97 8c 31 7f c9 fa 66 a7 3f 60 f0 50 4d e9 3b 5b 84 5e 27 55 92 c1 23 35 ee 34 0b bc 4f
    dd d5 02 78 40 16 e4 b3 be 7e f0 4d da 49 f4 b4 40 a3 0c b5 d2 af 93 98 28 fd 4a e3 79 4e 44
    f9 4d f5 a6 31 ed e4 2c 17 19 bf da bf 02 53 fe 51 75 be 89 8e 75 0e dc 53 37 0d 2b";
const FINISHED: &str = "
    17 03 03 00 35 75 ec 4d c2 38 cc e6 0b 29 80 44 a7 1e 21 9c 56 cc 77 b0 51 7f e9 b9 3c 7a 4b
    fc 44 d8 7f 38 f8 03 38 ac 98 fc 46 de b3 84 bd 1c ae ac ab 68 67 d7 26 c4 05 46";
const TICKET: &str = "
    17 03 03 00 de 3a 6b 8f 90 41 4a 97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95
    d4 1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7 58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88
    91 a3 8e fb cf 57 53 ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0 d4 a3 d0
    3f 75 e0 9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 91 d5
    e4 c5 b4 06 f1 6e 3f c1 81 a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f
    69 23 2c 86 51 9d 86 cb ee ac 87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49
    fe 51 37 12 1c 74 bc 26 97 68 7e 24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b
    6c 67 79 b3 7b f1 59 85 68 4f";
const CLIENT_DATA: &str = "
    17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab
    3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d
    ea e6 3a ee bb 21 69 49 15 e4";
const SERVER_DATA: &str = "
    17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b
    36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3
    32 54 0d d0 32 e1 67 c2 95 5d";
const CLIENT_ALERT: &str = "
    17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3";
const SERVER_ALERT: &str = "
    17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9";

fn key_log() -> String {
    let lines = [
        (
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21",
        ),
        (
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38",
        ),
        (
            "CLIENT_TRAFFIC_SECRET_0",
            "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
        ),
        (
            "SERVER_TRAFFIC_SECRET_0",
            "a11af9f05531f856ad47116b45a9503282 04b4f44bfb6b3a4b4f1f3fcb631643",
        ),
    ];
    log(RANDOM, &lines)
}

fn log(random: &str, lines: &[(&str, &str)]) -> String {
    let line =
        |(label, secret): &(&str, &str)| format!("{label} {random} {}\n", secret.replace(' ', ""));
    lines.iter().map(line).collect()
}

/// All of section 3, in its order.
fn simple() -> Vec<(Direction, Vec<u8>)> {
    [
        (Direction::Up, HELLO),
        (Direction::Down, SERVER_HELLO),
        (Direction::Down, FLIGHT),
        (Direction::Up, FINISHED),
        (Direction::Down, TICKET),
        (Direction::Up, CLIENT_DATA),
        (Direction::Down, SERVER_DATA),
        (Direction::Up, CLIENT_ALERT),
        (Direction::Down, SERVER_ALERT),
    ]
    .map(|(direction, text)| (direction, hex(text)))
    .into()
}

fn payload() -> Vec<u8> {
    (0..50).collect()
}

#[test]
fn a_simple_handshake() {
    let mut reader = Reader::new(&key_log());
    for (direction, bytes) in simple() {
        reader.data(direction, &bytes);
    }
    let (got, info) = reader.finish();
    for direction in Direction::ALL {
        assert_eq!(got.text(direction), payload());
        assert_eq!(
            got.own(direction, LayerBytes::TlsRecord),
            5,
            "{direction:?}"
        );
        assert_eq!(
            got.own(direction, LayerBytes::TlsRecordEnd),
            17,
            "{direction:?}"
        );
        assert_eq!(got.own(direction, LayerBytes::TlsAlert), 24);
        assert_eq!(got.own(direction, LayerBytes::Unread), 0);
    }
    let sizes = |all: &[&str]| all.iter().map(|t| hex(t).len() as u64).sum::<u64>();
    assert_eq!(
        got.own(Direction::Up, LayerBytes::TlsHandshake),
        sizes(&[HELLO, FINISHED])
    );
    assert_eq!(
        got.own(Direction::Down, LayerBytes::TlsHandshake),
        sizes(&[SERVER_HELLO, FLIGHT, TICKET])
    );
    // Content begins after the header, and was complete with its packet.
    let (start, seal, packet) = got.seals[0][0];
    let seal = seal.unwrap();
    assert_eq!(start, sizes(&[HELLO, FINISHED]) + 5);
    assert_eq!((seal.end, seal.at.packet.number), (start + 50 + 17, packet));
    let closed = Note::Alert {
        level: 1,
        description: 0,
    };
    assert_eq!(
        got.notes,
        [(Direction::Up, closed), (Direction::Down, closed)]
    );
    assert_eq!(info.version, Some(TlsVersion::V13));
    let suite = info.cipher_suite.and_then(CipherSuite::name);
    assert_eq!(suite, Some("TLS_AES_128_GCM_SHA256"));
    assert_eq!(info.server_name.as_deref(), Some("server"));
    assert_eq!(info.server_certificate.as_deref(), Some("CN=rsa"));
    assert!(info.decrypted && !info.resumed && !info.psk);
}

#[test]
fn any_segmentation_gives_the_same() {
    let whole = {
        let mut reader = Reader::new(&key_log());
        simple()
            .iter()
            .for_each(|(direction, bytes)| reader.data(*direction, bytes));
        reader.finish().0
    };
    for size in [1, 2, 3, 5, 7, 64, 100, 1000] {
        let mut reader = Reader::new(&key_log());
        for (direction, bytes) in simple() {
            bytes
                .chunks(size)
                .for_each(|chunk| reader.data(direction, chunk));
        }
        let (got, _) = reader.finish();
        assert_eq!(got.bytes, whole.bytes, "chunks of {size}");
        assert_eq!(got.own, whole.own, "chunks of {size}");
        assert_eq!(got.notes, whole.notes, "chunks of {size}");
    }
}

#[test]
fn a_byte_keeps_the_packet_that_brought_it() {
    let mut reader = Reader::new(&key_log());
    for (direction, bytes) in simple() {
        bytes
            .chunks(30)
            .for_each(|chunk| reader.data(direction, chunk));
    }
    let (got, _) = reader.finish();
    let packets: Vec<u64> = got.seals[0].iter().map(|(.., packet)| *packet).collect();
    let last = got.seals[0][0].1.unwrap().at.packet.number;
    // 72 bytes in three packets: 25 and 25 of content, the tag in the third.
    assert_eq!(packets, [last - 2, last - 1]);
    assert_eq!(got.bytes[0].len(), 50);
}

#[test]
fn late_secrets_are_waited_for() {
    for known in 0..=4 {
        let log = key_log();
        let lines: Vec<&str> = log.split_inclusive('\n').collect();
        let mut reader = Reader::new(&lines[..known].concat());
        for (direction, bytes) in simple() {
            reader.data(direction, &bytes);
        }
        reader.secrets(&lines[known..].concat());
        let (got, _) = reader.finish();
        for direction in Direction::ALL {
            assert_eq!(got.text(direction), payload(), "{known} lines before");
            assert_eq!(got.own(direction, LayerBytes::TlsRecordEnd), 17);
        }
    }
}

#[test]
fn each_secret_opens_its_own_records() {
    let log = key_log();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    for (kept, up, down) in [
        ([2, 3].as_slice(), true, true),
        (&[2], true, false),
        (&[0, 1, 3], false, true),
        (&[0, 1], false, false),
        (&[0, 2], true, false),
    ] {
        let keys: String = kept.iter().map(|n| lines[*n]).collect();
        let mut reader = Reader::new(&keys);
        for (direction, bytes) in simple() {
            reader.data(direction, &bytes);
        }
        let (got, _) = reader.finish();
        assert_eq!(got.text(Direction::Up) == payload(), up, "{kept:?}");
        assert_eq!(got.text(Direction::Down) == payload(), down, "{kept:?}");
        // Handshakes are reported as such, with and without keys.
        let handshake = hex(HELLO).len() + hex(FINISHED).len();
        assert_eq!(
            got.own(Direction::Up, LayerBytes::TlsHandshake),
            handshake as u64
        );
    }
}

#[test]
fn without_keys_sizes_and_a_reason_are_reported() {
    let mut reader = Reader::new("");
    reader.keys.close();
    for (direction, bytes) in simple() {
        reader.data(direction, &bytes);
        assert!(reader.tls.kept() < 6000, "nothing waits");
    }
    let (got, info) = reader.finish();
    assert!(got.bytes.iter().all(Vec::is_empty));
    let why = Note::Encrypted(Unreadable::NoKeyLog);
    assert_eq!(got.notes, [(Direction::Down, why)]);
    // Data and alert: header, type and tag of each.
    assert_eq!(got.own(Direction::Up, LayerBytes::TlsRecord), 2 * 5);
    assert_eq!(got.own(Direction::Up, LayerBytes::TlsRecordEnd), 2 * 17);
    assert_eq!(got.own(Direction::Up, LayerBytes::Unread), 50 + 2);
    // The ticket comes after the client's flight.
    assert_eq!(
        got.own(Direction::Down, LayerBytes::Unread),
        50 + 2 + 222 - 17
    );
    assert_eq!(info.server_name.as_deref(), Some("server"));
    assert_eq!(info.server_certificate, None);
}

#[test]
fn a_wrong_secret_is_reported_and_opens_nothing() {
    let wrong = key_log().replace("9e40", "9e41").replace("a11a", "a11b");
    let mut reader = Reader::new(&wrong);
    for (direction, bytes) in simple() {
        reader.data(direction, &bytes);
    }
    let (got, _) = reader.finish();
    assert!(got.bytes.iter().all(Vec::is_empty));
    let why = Note::Undecrypted(Unreadable::NotVerified);
    assert_eq!(got.notes, [(Direction::Down, why), (Direction::Up, why)]);
}

#[test]
fn one_side_alone_can_be_read() {
    for side in Direction::ALL {
        let mut reader = Reader::new(&key_log());
        for (direction, bytes) in simple()
            .into_iter()
            .filter(|(direction, _)| *direction == side)
        {
            reader.data(direction, &bytes);
        }
        let (got, _) = reader.finish();
        assert_eq!(got.text(side), payload(), "{side:?}");
    }
}

#[test]
fn a_record_that_is_lost_costs_no_other() {
    let all = simple();
    for lost in 0..all.len() {
        let mut reader = Reader::new(&key_log());
        for (n, (direction, bytes)) in all.iter().enumerate() {
            match n == lost {
                true => reader.gap(*direction, bytes.len() as u64),
                false => reader.data(*direction, bytes),
            }
        }
        let (got, _) = reader.finish();
        for direction in Direction::ALL {
            let data = all
                .iter()
                .rposition(|(w, b)| *w == direction && b.len() == 72);
            if data == Some(lost) {
                assert!(got.text(direction).is_empty());
            } else {
                assert_eq!(
                    got.text(direction),
                    payload(),
                    "{direction:?} without record {lost}"
                );
            }
        }
    }
}

/// Section 5, but for the server's flight, which is lost here.
#[test]
fn hello_retry_request() {
    let hello = "
        16 03 01 00 b4 01 00 00 b0 03 03 b0 b1 c5 a5 aa 37 c5 91 9f 2e d1 d5 c6 ff f7 fc b7 84 97
        16 94 5a 2b 8c ee 92 58 a3 46 67 7b 6f 00 00 06 13 01 13 03 13 02 01 00 00 81 00 00 00 0b
        00 09 00 00 06 73 65 72 76 65 72 ff 01 00 01 00 00 0a 00 08 00 06 00 1d 00 17 00 18 00 33
        00 26 00 24 00 1d 00 20 e8 e8 e3 f3 b9 3a 25 ed 97 a1 4a 7d ca cb 8a 27 2c 62 88 e5 85 c6
        48 4d 05 26 2f ca d0 62 ad 1f 00 2b 00 03 02 03 04 00 0d 00 20 00 1e 04 03 05 03 06 03 02
        03 08 04 08 05 08 06 04 01 05 01 06 01 02 01 04 02 05 02 06 02 02 02 00 2d 00 02 01 01 00
        1c 00 02 40 01";
    let retry = "
        16 03 03 00 b0 02 00 00 ac 03 03 cf 21 ad 74 e5 9a 61 11 be 1d 8c 02 1e 65 b8 91 c2 a2 11
        16 7a bb 8c 5e 07 9e 09 e2 c8 a8 33 9c 00 13 01 00 00 84 00 33 00 02 00 17 00 2c 00 74 00
        72 71 dc d0 4b b8 8b c3 18 91 19 39 8a 00 00 00 00 ee fa fc 76 c1 46 b8 23 b0 96 f8 aa ca
        d3 65 dd 00 30 95 3f 4e df 62 56 36 e5 f2 1b b2 e2 3f cc 65 4b 1b 5b 40 31 8d 10 d1 37 ab
        cb b8 75 74 e3 6e 8a 1f 02 5f 7d fa 5d 6e 50 78 1b 5e da 4a a1 5b 0c 8b e7 78 25 7d 16 aa
        30 30 e9 e7 84 1d d9 e4 c0 34 22 67 e8 ca 0c af 57 1f b2 b7 cf f0 f9 34 b0 00 2b 00 02 03
        04";
    // The beginning of the second hello, which is padded with zeros.
    let again = "
        16 03 03 02 00 01 00 01 fc 03 03 b0 b1 c5 a5 aa 37 c5 91 9f 2e d1 d5 c6 ff f7 fc b7 84 97
        16 94 5a 2b 8c ee 92 58 a3 46 67 7b 6f 00 00 06 13 01 13 03 13 02 01 00 01 cd 00 00 00 0b
        00 09 00 00 06 73 65 72 76 65 72 ff 01 00 01 00 00 15 01 b5";
    let mut again = hex(again);
    again.resize(5 + 512, 0);
    let server_hello = "
        16 03 03 00 7b 02 00 00 77 03 03 bb 34 1d 84 7f d7 89 c4 7c 38 71 72 dc 0c 9b f1 47 fc ca
        cb 50 43 d8 6c a4 c5 98 d3 ff 57 1b 98 00 13 01 00 00 4f 00 33 00 45 00 17 00 41 04 58 3e
        05 4b 7a 66 67 2a e0 20 ad 9d 26 86 fc c8 5b 5a d4 1a 13 4a 0f 03 ee 72 b8 93 05 2b d8 5b
        4c 8d e6 77 6f 5b 04 ac 07 d8 35 40 ea b3 e3 d9 c5 47 bc 65 28 c4 31 7d 29 46 86 09 3a 6c
        ad 7d 00 2b 00 02 03 04";
    let finished = "
        17 03 03 00 35 d7 4f 19 23 c6 62 fd 34 13 7c 6f 50 2f 3d d2 b9 3d 95 1d 1b 3b c9 7e 42 af
        e2 3c 31 ab ea 92 fe 91 b4 74 99 9e 85 e3 b7 91 ce 25 2f e8 c3 e9 f9 39 a4 12 0c b2";
    let client_alert = "
        17 03 03 00 13 2e a6 cd f7 49 19 60 23 e2 b3 a4 94 91 69 55 36 42 60 47";
    let server_alert = "
        17 03 03 00 13 51 9f c5 07 5c b0 88 43 49 75 9f f9 ef 6f 01 1b b4 c6 f2";
    let random = "b0b1c5a5aa37c5919f2ed1d5c6fff7fcb7849716945a2b8cee9258a346677b6f";
    let keys = log(
        random,
        &[
            (
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                "158aa7ab8855073582b41d674b4055cabcc534728f659314861b4e08e2011566",
            ),
            (
                "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                "3403e781e2af7b6508da28574f6e95a1abf162de83a97927c37672a4a0cef8a1",
            ),
            (
                "CLIENT_TRAFFIC_SECRET_0",
                "75ecf4b972525aa0dcd057c9944d4cd5d82671d8843141d7dc2a4ff15a21dc51",
            ),
            (
                "SERVER_TRAFFIC_SECRET_0",
                "5c74f87df04225db0f8209c9de6429e49435fdefa7cad61864874d12f31cfc8d",
            ),
        ],
    );
    let mut reader = Reader::new(&keys);
    reader.data(Direction::Up, &hex(hello));
    reader.data(Direction::Down, &hex(retry));
    reader.data(Direction::Up, &again);
    reader.data(Direction::Down, &hex(server_hello));
    reader.gap(Direction::Down, 667);
    reader.data(Direction::Up, &hex(finished));
    reader.data(Direction::Up, &hex(client_alert));
    reader.data(Direction::Down, &hex(server_alert));
    let (got, info) = reader.finish();
    let closed = Note::Alert {
        level: 1,
        description: 0,
    };
    assert_eq!(
        got.notes,
        [(Direction::Up, closed), (Direction::Down, closed)]
    );
    // No data was lost, and that is known.
    assert_eq!(got.gaps[1].first().map(|(_, len)| *len), Some(Some(0)));
    assert_eq!(info.version, Some(TlsVersion::V13));
}

/// Section 4: the client's side of a resumed handshake, with data in its first
/// flight. The hello is only its beginning, which is all that is looked at.
#[test]
fn early_data() {
    let random = "1bc3ceb6bbe39cff938355b5a50adb6db21b7a6af649d7b4bc419d7876487d95";
    let hello = format!(
        "16 03 01 00 37 01 00 00 33 03 03 {random} 00 00 06 13 01 13 03 13 02 01 00 \
         00 04 00 2a 00 00"
    );
    let records = [
        "17 03 03 00 17 ab 1d f4 20 e7 5c 45 7a 7c c5 d2 84 4f 76 d5 ae e4 b4 ed bf 04 9b e0",
        "17 03 03 00 15 ac a6 fc 94 48 41 29 8d f9 95 93 72 5f 9b f9 75 44 29 b1 2f 09",
        "17 03 03 00 35 00 f8 b4 67 d1 4c f2 2a 4b 3f 0b 6a e0 d8 e6 cc 8d 08 e0 db 35 15 ef 5c
         2b df 19 22 ea fb b7 00 09 96 47 16 d8 34 fb 70 c3 d2 a5 6c 5b 1f 5f 6b db a6 c3 33 cf",
        "17 03 03 00 43 b1 ce bc e2 42 aa 20 1b e9 ae 5e 1c b2 a9 aa 4b 33 d4 e8 66 af 1e db 06
         89 19 23 77 41 aa 03 1d 7a 74 d4 91 c9 9b 9d 4e 23 2b 74 20 6b c6 fb aa 04 fe 78 be 44
         a9 b4 f5 43 20 a1 7e b7 69 92 af ac 31 03",
    ];
    let secrets = [
        (
            "CLIENT_EARLY_TRAFFIC_SECRET",
            "3fbbe6a60deb66c30a32795aba0eff7eaa10105586e7be5c09678d63b6caab62",
        ),
        (
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "2faac08f851d35fea3604fcb4de82dc62c9b164a70974d0462e27f1ab278700f",
        ),
        (
            "CLIENT_TRAFFIC_SECRET_0",
            "2abbf2b8e381d23dbebe1dd2a7d16a8bf484cb4950d23fb7fb7fa8547062d9a1",
        ),
    ];
    let mut reader = Reader::new(&log(random, &secrets));
    reader.data(Direction::Up, &hex(&hello));
    for record in records {
        reader.data(Direction::Up, &hex(record));
    }
    let (got, info) = reader.finish();
    let both = [b"ABCDEF".to_vec(), payload()].concat();
    assert_eq!(got.text(Direction::Up), both);
    assert!(info.early_data);
    assert_eq!(info.version, Some(TlsVersion::V13), "the secret shows it");
}
