"""The messages of FIX 4.4 that we exchange, and the types of those that exist.

Facts of the FIX specification 4.4, volumes 2 to 5, in a notation of our own: `tag` is a field, `tag!` a required one,
`tag(…)` a repeating group behind its count, `@Name` a component, and `@Name!` one whose required fields are required.

Tag numbers, names, types, lists of values and required fields were taken from QuickFIX's data dictionaries, which list
those of the specification; the arrangement is ours.
"""

HEADER = """
    8! 9! 35! 49! 56! 115 128 90 91 34! 50 142 57 143 116 144 129 145 43 97 52! 122 212 213 347 369
    627(628 629 630)
"""
TRAILER = "93 89 10!"

# Every message type of the version; the messages below are those that we exchange.
TYPES = """
    0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L M N P Q R S T V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w
    x y z AA AB AC AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ BA BB BC BD BE BF BG BH
"""

COMPONENTS = {
    "AffectedOrdGrp": "534(41 535 536)",
    "AllocAckGrp": "78(79 661 366 467 776 161 360 361)",
    "AllocGrp": """
        78(79 661 573 366 80 467 81 @NestedParties 208 209 161 360 361 @CommissionData 153 154 119 737 120 736 155
        156 742 741 @MiscFeesGrp @ClrInstGrp 780 @SettlInstructionsData)
    """,
    "AttrbGrp": "870(871 872)",
    "ClrInstGrp": "576(577)",
    "CommissionData": "12 13 479 497",
    "ContAmtGrp": "518(519 520 521)",
    "ContraGrp": "382(375 337 437 438 655)",
    "DiscretionInstructions": "388 389 841 842 843 844 846",
    "DlvyInstGrp": "85(165 787 @SettlParties)",
    "EvntGrp": "864(865 866 867 868)",
    "ExecAllocGrp": "124(32 17 527 31 669 29)",
    "FinancingDetails": "913 914 915 918 788 916 917 919 898",
    "InstrmtLegExecGrp": """
        555(@InstrumentLeg 687 690 @LegStipulations 564 565 @NestedParties 654 566 587 588 637)
    """,
    "InstrmtLegGrp": "555(@InstrumentLeg)",
    "Instrument": """
        55! 65 48 22 @SecAltIDGrp 460 461 167 762 200 541 201 224 225 239 226 227 228 255 543 470 471 472 240 202 947
        206 231 223 207 106 348 349 107 350 351 691 667 875 876 @EvntGrp 873 874
    """,
    "InstrumentExtension": "668 869 @AttrbGrp",
    "InstrumentLeg": """
        600 601 602 603 @LegSecAltIDGrp 607 608 609 764 610 611 248 249 250 251 252 253 257 599 596 597 598 254 612
        942 613 614 615 616 617 618 619 620 621 622 623 624 556 740 739 955 956
    """,
    "LegSecAltIDGrp": "604(605 606)",
    "LegStipulations": "683(688 689)",
    "ListOrdGrp": """
        73!(11! 526 67! 583 160 @Parties 229 75 1 660 581 589 590 70 591 @PreAllocGrp 63 64 544 635 21 18 110 111
        100 @TrdgSesGrp 81 @Instrument! @UndInstrmtGrp 140 54! 401 114 60 @Stipulations 854 @OrderQtyData! 40 423 44
        99 @SpreadOrBenchmarkCurveData @YieldData 15 376 377 23 117 59 168 432 126 427 @CommissionData 528 529 582
        121 120 775 58 354 355 193 192 640 77 203 210 @PegInstructions @DiscretionInstructions 847 848 849 494)
    """,
    "MiscFeesGrp": "136(137 138 139 891)",
    "NestedParties": "539(524 525 538 @NstdPtysSubGrp)",
    "NestedParties2": "756(757 758 759 @NstdPtys2SubGrp)",
    "NstdPtys2SubGrp": "806(760 807)",
    "NstdPtysSubGrp": "804(545 805)",
    "OrdAllocGrp": "73(11 37 198 526 66 @NestedParties2 38 799 800)",
    "OrdListStatGrp": "73!(11! 526 14! 39! 636 151! 84! 6! 103 58 354 355)",
    "OrderQtyData": "38 152 516 468 469",
    "Parties": "453(448 447 452 @PtysSubGrp)",
    "PegInstructions": "211 835 836 837 838 840",
    "PreAllocGrp": "78(79 661 736 467 @NestedParties 80)",
    "PtysSubGrp": "802(523 803)",
    "SecAltIDGrp": "454(455 456)",
    "SettlInstructionsData": "172 169 170 171 @DlvyInstGrp",
    "SettlParties": "781(782 783 784 @SettlPtysSubGrp)",
    "SettlPtysSubGrp": "801(785 786)",
    "SpreadOrBenchmarkCurveData": "218 220 221 222 662 663 699 761",
    "Stipulations": "232(233 234)",
    "TrdgSesGrp": "386(336 625)",
    "UndInstrmtGrp": "711(@UnderlyingInstrument)",
    "UndSecAltIDGrp": "457(458 459)",
    "UnderlyingInstrument": """
        311 312 309 305 @UndSecAltIDGrp 462 463 310 763 313 542 315 241 242 243 244 245 246 256 595 592 593 594 247
        316 941 317 436 435 308 306 362 363 307 364 365 877 878 318 879 810 882 883 884 885 886
        @UnderlyingStipulations
    """,
    "UnderlyingStipulations": "887(888 889)",
    "YieldData": "235 236 701 696 697 698",
}

MESSAGES = {
    "0 Heartbeat": "112",
    "1 TestRequest": "112!",
    "2 ResendRequest": "7! 16!",
    "3 Reject": "45! 371 372 373 58 354 355",
    "4 SequenceReset": "123 36!",
    "5 Logout": "58 354 355",
    "8 ExecutionReport": """
        37! 198 526 527 11 41 583 693 790 584 911 912 @Parties 229 @ContraGrp 66 548 551 549 17! 19 150! 39! 636 103
        378 1 660 581 589 590 591 63 64 544 635 @Instrument! @FinancingDetails @UndInstrmtGrp 54! @Stipulations 854
        @OrderQtyData 40 423 44 99 @PegInstructions @DiscretionInstructions 839 845 847 848 849 850 15 376 377 59
        168 432 126 18 528 529 582 32 652 31 651 669 194 195 30 336 625 943 29 151! 14! 6! 424 425 426 427 75 60 113
        @CommissionData @SpreadOrBenchmarkCurveData @YieldData 381 157 230 158 159 738 920 921 922 258 259 260 238
        237 118 119 120 155 156 21 110 111 77 210 775 58 354 355 193 192 641 442 480 481 513 494 483 515 484 485 638
        639 851 @ContAmtGrp @InstrmtLegExecGrp 797 @MiscFeesGrp
    """,
    "9 OrderCancelReject": "37! 198 526 11! 583 41! 39! 636 586 66 1 660 581 229 75 60 434! 102 58 354 355",
    "A Logon": "98! 108! 95 96 141 789 383 384(372 385) 464 553 554",
    "D NewOrderSingle": """
        11! 526 583 @Parties 229 75 1 660 581 589 590 591 70 @PreAllocGrp 63 64 544 635 21 18 110 111 100
        @TrdgSesGrp 81 @Instrument! @FinancingDetails @UndInstrmtGrp 140 54! 114 60! @Stipulations 854
        @OrderQtyData! 40! 423 44 99 @SpreadOrBenchmarkCurveData @YieldData 15 376 377 23 117 59 168 432 126 427
        @CommissionData 528 529 582 121 120 775 58 354 355 193 192 640 77 203 210 @PegInstructions
        @DiscretionInstructions 847 848 849 480 481 513 494
    """,
    "E NewOrderList": """
        66! 390 391 414 394! 415 480 481 513 433 69 352 353 765 766 767 68! 893 @ListOrdGrp!
    """,
    "F OrderCancelRequest": """
        41! 37 11! 526 583 66 586 1 660 581 @Parties @Instrument! @FinancingDetails @UndInstrmtGrp 54! 60!
        @OrderQtyData! 376 58 354 355
    """,
    "G OrderCancelReplaceRequest": """
        37 @Parties 229 75 41! 11! 526 583 66 586 1 660 581 589 590 591 70 @PreAllocGrp 63 64 544 635 21 18 110 111
        100 @TrdgSesGrp @Instrument! @FinancingDetails @UndInstrmtGrp 54! 60! 854 @OrderQtyData! 40! 423 44 99
        @SpreadOrBenchmarkCurveData @YieldData @PegInstructions @DiscretionInstructions 847 848 849 376 377 15 59
        168 432 126 427 @CommissionData 528 529 582 121 120 775 58 354 355 193 192 640 77 203 210 114 480 481 513
        494
    """,
    "H OrderStatusRequest": """
        37 11! 526 583 @Parties 790 1 660 @Instrument! @FinancingDetails @UndInstrmtGrp 54!
    """,
    "J AllocationInstruction": """
        70! 71! 626! 793 72 796 808 196 197 466 857! @OrdAllocGrp @ExecAllocGrp 570 700 574 54! @Instrument!
        @InstrumentExtension @FinancingDetails @UndInstrmtGrp @InstrmtLegGrp 53! 854 30 229 336 625 423 6! 860
        @SpreadOrBenchmarkCurveData 15 74 @Parties 75! 60 63 64 775 381 238 237 118 77 754 58 354 355 157 158 159
        540 738 920 921 922 650 @Stipulations @YieldData 892 893 @AllocGrp
    """,
    "K ListCancelRequest": "66! 60! 229 75 58 354 355",
    "L ListExecute": "66! 391 390 60! 58 354 355",
    "M ListStatusRequest": "66! 58 354 355",
    "N ListStatus": "66! 429! 82! 431! 83! 444 445 446 60 68! 893 @OrdListStatGrp!",
    "P AllocationInstructionAck": "70! @Parties 793 75 60! 87! 88 626 808 573 460 167 58 354 355 @AllocAckGrp",
    "Q DontKnowTrade": """
        37! 198 17! 127! @Instrument! @UndInstrmtGrp @InstrmtLegGrp 54! @OrderQtyData! 32 31 58 354 355
    """,
    "d SecurityDefinition": """
        320! 322! 323! @Instrument @InstrumentExtension @UndInstrmtGrp 15 336 625 58 354 355 @InstrmtLegGrp 827 561
        562
    """,
    "j BusinessMessageReject": "45 372! 379 380! 58 354 355",
    "q OrderMassCancelRequest": "11! 526 530! 336 625 @Instrument @UnderlyingInstrument 54 60! 58 354 355",
    "r OrderMassCancelReport": """
        11 526 37! 198 530! 531! 532 533 @AffectedOrdGrp 336 625 @Instrument @UnderlyingInstrument 54 60 58 354 355
    """,
    "AF OrderMassStatusRequest": "584! 585! @Parties 1 660 336 625 @Instrument @UnderlyingInstrument 54",
    "AS AllocationReport": """
        755! 70 71! 795 796 793 794! 87! 88 72 808 196 197 466 857! @OrdAllocGrp @ExecAllocGrp 570 700 574 54!
        @Instrument! @InstrumentExtension @FinancingDetails @UndInstrmtGrp @InstrmtLegGrp 53! 854 30 229 336 625 423
        6! 860 @SpreadOrBenchmarkCurveData 15 74 @Parties 75! 60 63 64 775 381 238 237 118 77 754 58 354 355 157 158
        159 540 738 920 921 922 650 @Stipulations @YieldData 892 893 @AllocGrp
    """,
    "AT AllocationReportAck": "755! 70! @Parties 793 75 60! 87! 88 794 808 573 460 167 58 354 355 @AllocAckGrp",
}
