"""The application messages of FIX 5.0 SP2 that we exchange, in the notation of `fix44`.

Facts of the FIX specification 5.0 SP2 (FIX Protocol Ltd., 2009), volumes 3 to 5.

Tag numbers, names, types, lists of values and required fields were taken from QuickFIX's data dictionaries, which list
those of the specification; the arrangement is ours.
"""

TYPES = """
    6 7 8 9 B C D E F G H J K L M N P Q R S T V W X Y Z a b c d e f g h i j k l m o p q r s t u v w x y z AA AB AC
    AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ BA BB BC BD BE BF BG BH BI BJ BK BL BM BN
    BO BP BQ BR BS BT BU BV BW BX BY BZ CA CB CC CD CE
"""

COMPONENTS = {
    "AffectedOrdGrp": "534(41 535 536)",
    "AllocAckGrp": "78(79 661 366 1047 467 776 @NestedParties 161 360 361 989 993 992 80)",
    "AllocGrp": """
        78(79 661 573 366 80 467 81 989 1002 993 1047 992 @NestedParties 208 209 161 360 361 @CommissionData 153 154
        119 737 120 736 155 156 742 741 @MiscFeesGrp @ClrInstGrp 635 780 @SettlInstructionsData)
    """,
    "ApplicationSequenceControl": "1180 1181 1350 1352",
    "AttrbGrp": "870(871 872)",
    "BaseTradingRules": """
        @TickRules @LotTypeRules @PriceLimits 827 562 1140 1143 1144 1245 561 1377 1378 423
    """,
    "ClrInstGrp": "576(577)",
    "CommissionData": "12 13 479 497",
    "ComplexEventDates": "1491(1492 1493 @ComplexEventTimes)",
    "ComplexEventTimes": "1494(1495 1496)",
    "ComplexEvents": "1483(1484 1485 1486 1487 1488 1489 1490 @ComplexEventDates)",
    "ContAmtGrp": "518(519 520 521)",
    "ContraGrp": "382(375 337 437 438 655)",
    "DiscretionInstructions": "388 389 841 842 843 844 846",
    "DisplayInstruction": "1138 1082 1083 1084 1085 1086 1087 1088",
    "DlvyInstGrp": "85(165 787 @SettlParties)",
    "EvntGrp": "864(865 866 1145 867 868)",
    "ExecAllocGrp": "124(32 17 527 31 669 29 1003 1041)",
    "ExecInstRules": "1232(1308)",
    "FillsGrp": "1362(1363 1364 1365 @NestedParties4 1443)",
    "FinancingDetails": "913 914 915 918 788 916 917 919 898",
    "InstrmtLegExecGrp": """
        555(@InstrumentLeg 687 685 690 @LegStipulations 1366 @LegPreAllocGrp 564 565 @NestedParties3 654 587 588 637
        675 1073 1074 1075 1379 1381 1383 1384 1418)
    """,
    "InstrmtLegGrp": "555(@InstrumentLeg)",
    "Instrument": """
        55 65 48 22 @SecAltIDGrp 460 1227 1151 461 167 762 200 541 1079 966 1049 965 224 225 239 226 227 228 255 543
        470 471 472 240 202 947 967 968 206 231 969 1146 996 1147 1191 1192 1193 1194 1195 1196 1197 1198 1199 1200
        201 1244 1242 997 223 207 970 971 106 348 349 107 350 351 @SecurityXML 691 667 875 876 @EvntGrp 873 874
        @InstrumentParties 1435 1439 1449 1450 1451 1452 1457 1458 1478 1479 1480 1481 1482 @ComplexEvents
    """,
    "InstrumentExtension": "668 869 @AttrbGrp",
    "InstrumentLeg": """
        600 601 602 603 @LegSecAltIDGrp 607 608 609 764 610 611 1212 248 249 250 251 252 253 257 599 596 597 598 254
        612 942 613 614 999 1224 1421 1422 1001 1420 615 616 617 618 619 620 621 622 623 624 556 740 739 955 956
        1358 1017 1436 1440
    """,
    "InstrumentParties": "1018(1019 1050 1051 @InstrumentPtysSubGrp)",
    "InstrumentPtysSubGrp": "1052(1053 1054)",
    "LegPreAllocGrp": "670(671 672 @NestedParties2 673 674 1367)",
    "LegSecAltIDGrp": "604(605 606)",
    "LegStipulations": "683(688 689)",
    "ListOrdGrp": """
        73!(11! 526 67! 583 160 @Parties 229 75 1 660 581 589 590 70 591 @PreAllocGrp 63 64 544 635 21 18 110 1089
        1090 @DisplayInstruction 111 100 1133 @TrdgSesGrp 81 @Instrument! @UndInstrmtGrp 140 54! 401 114 60
        @Stipulations 854 @OrderQtyData! 40 423 44 1092 99 @TriggeringInstruction @SpreadOrBenchmarkCurveData
        @YieldData 15 376 377 23 117 1080 1081 59 168 432 126 427 @CommissionData 528 529 1091 582 121 120 775 58
        354 355 193 192 640 77 203 210 @PegInstructions @DiscretionInstructions 847 @StrategyParametersGrp 848 849
        494)
    """,
    "LotTypeRules": "1234(1093 1231)",
    "MarketDataFeedTypes": "1141(1022 264 1021)",
    "MarketSegmentGrp": "1310(1301 1300 @SecurityTradingRules @StrikeRules)",
    "MatchRules": "1235(1142 574)",
    "MaturityRules": "1236(1222 1303 1302 1241 1226 1229)",
    "MiscFeesGrp": "136(137 138 139 891)",
    "NestedInstrumentAttribute": "1312(1210 1211)",
    "NestedParties": "539(524 525 538 @NstdPtysSubGrp)",
    "NestedParties2": "756(757 758 759 @NstdPtys2SubGrp)",
    "NestedParties3": "948(949 950 951 @NstdPtys3SubGrp)",
    "NestedParties4": "1414(1415 1416 1417 @NstdPtys4SubGrp)",
    "NotAffectedOrdersGrp": "1370(1372 1371)",
    "NstdPtys2SubGrp": "806(760 807)",
    "NstdPtys3SubGrp": "952(953 954)",
    "NstdPtys4SubGrp": "1413(1412 1411)",
    "NstdPtysSubGrp": "804(545 805)",
    "OrdAllocGrp": "73(11 37 198 526 66 @NestedParties2 38 799 800)",
    "OrdListStatGrp": "73!(11 37 526 14! 39! 636 151! 84! 6! 103 58 354 355)",
    "OrdTypeRules": "1237(40)",
    "OrderQtyData": "38 152 516 468 469",
    "Parties": "453(448 447 452 @PtysSubGrp)",
    "PegInstructions": "211 1094 835 836 837 838 840 1096 1097 1098 1099",
    "PositionAmountData": "753(707 708 1055)",
    "PreAllocGrp": "78(79 661 736 467 @NestedParties 80)",
    "PriceLimits": "1306 1148 1149 1150",
    "PtysSubGrp": "802(523 803)",
    "RateSource": "1445(1446 1447 1448)",
    "RootParties": "1116(1117 1118 1119 @RootSubParties)",
    "RootSubParties": "1120(1121 1122)",
    "SecAltIDGrp": "454(455 456)",
    "SecurityTradingRules": "@BaseTradingRules @TradingSessionRulesGrp @NestedInstrumentAttribute",
    "SecurityXML": "1184 1185 1186",
    "SettlInstructionsData": "172 169 170 171 @DlvyInstGrp",
    "SettlParties": "781(782 783 784 @SettlPtysSubGrp)",
    "SettlPtysSubGrp": "801(785 786)",
    "SpreadOrBenchmarkCurveData": "218 220 221 222 662 663 699 761",
    "Stipulations": "232(233 234)",
    "StrategyParametersGrp": "957(958 959 960)",
    "StrikeRules": "1201(1223 1202 1203 1204 1304 @MaturityRules)",
    "TargetParties": "1461(1462 1463 1464)",
    "TickRules": "1205(1206 1207 1208 1209)",
    "TimeInForceRules": "1239(59)",
    "TradingSessionRules": "@OrdTypeRules @TimeInForceRules @ExecInstRules @MatchRules @MarketDataFeedTypes",
    "TradingSessionRulesGrp": "1309(336 625 @TradingSessionRules)",
    "TrdRegTimestamps": "768(769 770 771 1033 1034 1035)",
    "TrdgSesGrp": "386(336 625)",
    "TriggeringInstruction": "1100 1101 1102 1103 1104 1105 1106 1107 1108 1109 1110 1111 1112 1113 1114",
    "UndInstrmtGrp": "711(@UnderlyingInstrument)",
    "UndSecAltIDGrp": "457(458 459)",
    "UnderlyingInstrument": """
        311 312 309 305 @UndSecAltIDGrp 462 463 310 763 313 542 1213 241 242 243 244 245 246 256 595 592 593 594 247
        316 941 317 436 998 1423 1424 1425 1000 1419 435 308 306 362 363 307 364 365 877 878 972 318 879 975 973 974
        810 882 883 884 885 886 @UnderlyingStipulations 1044 1045 1046 1038 @UndlyInstrumentParties 1039 315 1437
        1441 1453 1454 1455 1456 1459 1460
    """,
    "UnderlyingStipulations": "887(888 889)",
    "UndlyInstrumentParties": "1058(1059 1060 1061 @UndlyInstrumentPtysSubGrp)",
    "UndlyInstrumentPtysSubGrp": "1062(1063 1064)",
    "YieldData": "235 236 701 696 697 698",
}

MESSAGES = {
    "8 ExecutionReport": """
        @ApplicationSequenceControl 37! 198 526 527 11 41 583 693 790 584 961 911 912 @Parties 229 @ContraGrp 66 548
        551 549 880 17! 19 150! 39! 636 103 378 1 660 581 589 590 591 70 @PreAllocGrp 63 64 574 1115 544 635
        @Instrument! @FinancingDetails @UndInstrmtGrp 54! @Stipulations 854 @OrderQtyData 1093 40 423 44 1092 99
        @TriggeringInstruction @PegInstructions @DiscretionInstructions 839 1095 845 847 @StrategyParametersGrp 848
        849 850 15 376 377 59 168 432 126 18 1057 528 529 1091 582 32 1056 1071 652 31 651 669 194 195 30 336 625
        943 29 151! 14! 6 424 425 426 1361 893 @FillsGrp 427 75 60 113 @CommissionData @SpreadOrBenchmarkCurveData
        @YieldData 381 157 230 158 159 738 920 921 922 258 259 260 238 237 118 119 120 155 156 21 110 1089 1090
        @DisplayInstruction 111 77 210 775 58 354 355 193 192 641 442 480 481 513 494 483 515 484 485 638 639 851
        @ContAmtGrp @InstrmtLegExecGrp 797 @MiscFeesGrp 1380 1028 1029 1030 1031 1032 @TrdRegTimestamps 1188 1189
        1190 811 @RateSource
    """,
    "9 OrderCancelReject": "37! 198 526 11! 583 41 39! 636 586 66 1 660 581 229 75 60 434! 102 58 354 355",
    "D NewOrderSingle": """
        11! 526 583 @Parties 229 75 1 660 581 589 590 591 70 @PreAllocGrp 63 64 544 635 21 18 110 1089 1090
        @DisplayInstruction 111 100 1133 @TrdgSesGrp 81 @Instrument! @FinancingDetails @UndInstrmtGrp 140 54! 114
        60! @Stipulations 854 @OrderQtyData! 40! 423 44 1092 99 @TriggeringInstruction @SpreadOrBenchmarkCurveData
        @YieldData 15 376 377 23 117 59 168 432 126 427 @CommissionData 528 529 1091 582 121 120 775 58 354 355 193
        192 640 77 203 210 @PegInstructions @DiscretionInstructions 847 @StrategyParametersGrp 848 849 480 481 513
        494 1028 1029 1030 1031 1032 @TrdRegTimestamps 1080 1081
    """,
    "E NewOrderList": """
        66! 390 391 414 394! 415 480 481 513 433 69 1385 352 353 765 766 767 68! 893 @RootParties @ListOrdGrp!
    """,
    "F OrderCancelRequest": """
        41 37 11! 526 583 66 586 1 660 581 @Parties @Instrument! @FinancingDetails @UndInstrmtGrp 54! 60!
        @OrderQtyData! 376 58 354 355
    """,
    "G OrderCancelReplaceRequest": """
        37 @Parties 229 75 41 11! 526 583 66 586 1 660 581 589 590 591 70 @PreAllocGrp 63 64 544 635 21 18 110 1089
        1090 @DisplayInstruction 111 100 1133 @TrdgSesGrp @Instrument! @FinancingDetails @UndInstrmtGrp 54! 60! 854
        @OrderQtyData! 40! 423 44 1092 99 @TriggeringInstruction @SpreadOrBenchmarkCurveData @YieldData
        @PegInstructions @DiscretionInstructions 847 @StrategyParametersGrp 848 849 376 377 15 59 168 432 126 427
        @CommissionData 528 529 1091 582 121 120 775 58 354 355 193 192 640 77 203 210 114 480 481 513 494 1028 1029
        1030 1031 1032 @TrdRegTimestamps
    """,
    "H OrderStatusRequest": """
        37 11 526 583 @Parties 790 1 660 @Instrument! @FinancingDetails @UndInstrmtGrp 54!
    """,
    "J AllocationInstruction": """
        70! 71! 626! 793 72 796 808 196 197 466 857 @OrdAllocGrp @ExecAllocGrp 570 700 574 54! @Instrument!
        @InstrumentExtension @FinancingDetails @UndInstrmtGrp @InstrmtLegGrp 53! 854 30 229 336 625 423 6 860
        @SpreadOrBenchmarkCurveData 15 74 @Parties 75! 60 63 64 775 381 238 237 118 77 754 58 354 355 157 158 159
        540 738 920 921 922 650 @Stipulations @YieldData @PositionAmountData 892 893 @AllocGrp 819 715 828 829 582
        578 442 1011 991 @RateSource
    """,
    "K ListCancelRequest": "66! @Parties 60! 229 75 58 354 355",
    "L ListExecute": "66! 391 390 60! 58 354 355",
    "M ListStatusRequest": "66! 58 354 355",
    "N ListStatus": "66! 429! 82! 431! 1385 1386 83! 444 445 446 60 68! 893 @OrdListStatGrp!",
    "P AllocationInstructionAck": "70! @Parties 793 75 60 87! 88 626 808 573 460 167 58 354 355 @AllocAckGrp",
    "Q DontKnowTrade": """
        37! 198 17! 127! @Instrument! @UndInstrmtGrp @InstrmtLegGrp 54! @OrderQtyData! 32 31 58 354 355
    """,
    "d SecurityDefinition": """
        @ApplicationSequenceControl 964 715 320 322 323 292 @Instrument @InstrumentExtension @UndInstrmtGrp 15 58
        354 355 @Stipulations @InstrmtLegGrp @SpreadOrBenchmarkCurveData @YieldData @MarketSegmentGrp 60
    """,
    "j BusinessMessageReject": "45 372! 1130 1406 1131 379 380! 58 354 355",
    "q OrderMassCancelRequest": """
        11! 526 530! 336 625 @Parties @Instrument @UnderlyingInstrument 1301 1300 54 60! 58 354 355 @TargetParties
    """,
    "r OrderMassCancelReport": """
        11 526 37! 1369! 198 530! 531! 532 533 @AffectedOrdGrp @NotAffectedOrdersGrp 336 625 @Parties @Instrument
        @UnderlyingInstrument 1301 1300 54 60 58 354 355 @TargetParties
    """,
    "AF OrderMassStatusRequest": """
        584! 585! @Parties 1 660 336 625 @Instrument @UnderlyingInstrument 54 @TargetParties
    """,
    "AS AllocationReport": """
        755! 70 71! 795 796 793 794! 87! 88 72 808 196 197 466 715 828 829 442 582 578 991 1011 579 819 857
        @OrdAllocGrp @ExecAllocGrp 570 700 574 54! @Instrument! @InstrumentExtension @FinancingDetails
        @UndInstrmtGrp @InstrmtLegGrp 53! 854 30 229 336 625 423 6! 860 @SpreadOrBenchmarkCurveData 15 74 @Parties
        75! 60 63 64 775 381 238 237 118 77 754 58 354 355 157 158 159 540 738 920 921 922 650 @Stipulations
        @YieldData @PositionAmountData 892 893 @AllocGrp @RateSource
    """,
    "AT AllocationReportAck": """
        755! 70 715 819 53 71 @Parties 793 75 60 87 88 794 808 573 460 167 58 354 355 @AllocAckGrp
    """,
}
