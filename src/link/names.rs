//! Names of unsupported link types, for messages; spelt as in libpcap.

use crate::packet::LinkType;

/// The name, if it is a well-known link type.
pub(super) fn name(link_type: LinkType) -> Option<&'static str> {
    let at = NAMES
        .binary_search_by_key(&link_type.0, |(number, _)| *number)
        .ok()?;
    NAMES.get(at).map(|(_, name)| *name)
}

/// By number.
static NAMES: &[(u16, &str)] = &[
    (2, "EN3MB"),
    (3, "AX25"),
    (4, "PRONET"),
    (5, "CHAOS"),
    (7, "ARCNET"),
    (8, "SLIP"),
    (99, "SYMANTEC_FIREWALL"),
    (106, "ATM_CLIP"),
    (114, "LTALK"),
    (122, "IP_OVER_FC"),
    (123, "SUNATM"),
    (129, "ARCNET_LINUX"),
    (138, "APPLE_IP_OVER_IEEE1394"),
    (139, "MTP2_WITH_PHDR"),
    (140, "MTP2"),
    (141, "MTP3"),
    (142, "SCCP"),
    (143, "DOCSIS"),
    (144, "LINUX_IRDA"),
    (147, "USER0"),
    (148, "USER1"),
    (149, "USER2"),
    (150, "USER3"),
    (151, "USER4"),
    (152, "USER5"),
    (153, "USER6"),
    (154, "USER7"),
    (155, "USER8"),
    (156, "USER9"),
    (157, "USER10"),
    (158, "USER11"),
    (159, "USER12"),
    (160, "USER13"),
    (161, "USER14"),
    (162, "USER15"),
    (165, "BACNET_MS_TP"),
    (166, "PPP_PPPD"),
    (169, "GPRS_LLC"),
    (177, "LINUX_LAPD"),
    (182, "MFR"),
    (186, "USB"),
    (187, "BLUETOOTH_HCI_H4"),
    (188, "IEEE802_16_MAC_CPS"),
    (189, "USB_LINUX"),
    (190, "CAN20B"),
    (193, "IEEE802_16_MAC_CPS_RADIO"),
    (195, "IEEE802_15_4"),
    (196, "SITA"),
    (197, "ERF"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (202, "AX25_KISS"),
    (203, "LAPD"),
    (205, "C_HDLC_WITH_DIR"),
    (206, "FRELAY_WITH_DIR"),
    (209, "IPMB_LINUX"),
    (210, "FLEXRAY"),
    (211, "MOST"),
    (212, "LIN"),
    (215, "IEEE802_15_4_NONASK_PHY"),
    (217, "GSMTAP_UM"),
    (218, "GSMTAP_ABIS"),
    (220, "USB_LINUX_MMAPPED"),
    (221, "DECT"),
    (223, "WIHART"),
    (224, "FC_2"),
    (225, "FC_2_WITH_FRAME_DELIMS"),
    (226, "IPNET"),
    (227, "CAN_SOCKETCAN"),
    (230, "IEEE802_15_4_NOFCS"),
    (231, "DBUS"),
    (235, "DVB_CI"),
    (236, "MUX27010"),
    (237, "STANAG_5066_D_PDU"),
    (240, "NETANALYZER"),
    (241, "NETANALYZER_TRANSPARENT"),
    (242, "IPOIB"),
    (243, "MPEG_2_TS"),
    (244, "NG40"),
    (245, "NFC_LLCP"),
    (247, "INFINIBAND"),
    (248, "SCTP"),
    (249, "USBPCAP"),
    (250, "RTAC_SERIAL"),
    (251, "BLUETOOTH_LE_LL"),
    (253, "NETLINK"),
    (254, "BLUETOOTH_LINUX_MONITOR"),
    (255, "BLUETOOTH_BREDR_BB"),
    (256, "BLUETOOTH_LE_LL_WITH_PHDR"),
    (257, "PROFIBUS_DL"),
    (259, "EPON"),
    (260, "IPMI_HPM_2"),
    (261, "ZWAVE_R1_R2"),
    (262, "ZWAVE_R3"),
    (263, "WATTSTOPPER_DLM"),
    (264, "ISO_14443"),
    (265, "RDS"),
    (266, "USB_DARWIN"),
    (268, "SDLC"),
    (270, "LORATAP"),
    (271, "VSOCK"),
    (272, "NORDIC_BLE"),
    (273, "DOCSIS31_XRA31"),
    (274, "ETHERNET_MPACKET"),
    (275, "DISPLAYPORT_AUX"),
    (278, "OPENVIZSLA"),
    (279, "EBHSCR"),
    (280, "VPP_DISPATCH"),
    (283, "IEEE802_15_4_TAP"),
    (286, "ELEE"),
    (287, "Z_WAVE_SERIAL"),
    (288, "USB_2_0"),
    (289, "ATSC_ALP"),
    (290, "ETW"),
    (292, "ZBOSS_NCP"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LINKS;

    #[test]
    fn numbers_are_in_order_and_not_among_those_we_decode() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for link in LINKS {
            assert_eq!(name(link.number), None, "{}", link.name);
        }
    }

    #[test]
    fn numbers_and_names_we_decode_are_unique() {
        for (i, a) in LINKS.iter().enumerate() {
            for b in LINKS.iter().skip(i + 1) {
                assert!(a.number != b.number && a.name != b.name, "{}", a.name);
            }
        }
    }
}
