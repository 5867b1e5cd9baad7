"""The fields that FIX 5.0 SP2 and FIXT 1.1 have beyond FIX 4.4, or with another type or other values.

Facts of the FIX specification 5.0 SP2 (FIX Protocol Ltd., 2009), volume 6, and FIXT 1.1, in the arrangement of
`fields_fix44`.

Tag numbers, names, types, lists of values and required fields were taken from QuickFIX's data dictionaries, which list
those of the specification; the arrangement is ours.
"""

FIELDS = {
    "AMT": """
        973:UnderlyingCashAmount 985:UnderlyingPayAmount 986:UnderlyingCollectAmount 1037:UnderlyingDeliveryAmount
        1038:UnderlyingCapValue 1072:SideGrossTradeAmt 1075:LegGrossTradeAmt 1146:MinPriceIncrementAmount
        1157:CcyAmt 1195:OptPayoutAmount 1225:DerivativeOptPayAmount 1268:DerivativeMinPriceIncrementAmount
        1485:ComplexOptPayoutAmount
    """,
    "BOOLEAN": """
        978:LateIndicator 1028:ManualOrderIndicator 1029:CustDirectedOrder 1057:AggressorIndicator
        1091:PreTradeAnonymity 1134:ReportedPxDiff 1171:PrivateQuote 1187:RefreshIndicator
        1242:FlexProductEligibilityIndicator 1243:DerivFlexProductEligibilityIndicator 1244:FlexibleIndicator
        1352:ApplResendFlag 1389:TrdRepIndicator 1410:DefaultVerIndicator
    """,
    "CHAR": """
        980:SecurityUpdateAction 1015:AsOfIndicator 1036:ExecAckStatus 1046:UnderlyingFXRateCalc
        1047:AllocPositionEffect 1048:DealingCapacity 1049:InstrmtAssignmentMethod 1050:InstrumentPartyIDSource
        1060:UnderlyingInstrumentPartyIDSource 1081:RefOrderIDSource 1083:DisplayWhen 1084:DisplayMethod
        1092:PriceProtectionScope 1093:LotType 1100:TriggerType 1101:TriggerAction 1107:TriggerPriceType
        1108:TriggerPriceTypeScope 1109:TriggerPriceDirection 1111:TriggerOrderType 1115:OrderCategory
        1118:RootPartyIDSource 1123:TradeHandlingInstr 1124:OrigTradeHandlingInstr 1133:ExDestinationIDSource
        1162:SettlObligTransType 1164:SettlObligSource 1193:SettlMethod 1255:DerivativeInstrmtAssignmentMethod
        1265:DerivativeOptAttribute 1299:DerivativeExerciseStyle 1308:ExecInstValue 1317:DerivativeSettlMethod
        1324:ListUpdateAction 1327:TradSesUpdateAction 1391:UnderlyingLegOptAttribute 1395:MarketUpdateAction
        1416:Nested4PartyIDSource 1430:VenueType 1463:TargetPartyIDSource
    """,
    "COUNTRY": """
        1258:DerivativeCountryOfIssue
    """,
    "CURRENCY": """
        1154:SideCurrency 1155:SideSettlCurrency 1245:TradingCurrency 1262:DerivativeStrikeCurrency
        1367:LegAllocSettlCurrency
    """,
    "DATA": """
        1278:DerivativeEncodedIssuer 1281:DerivativeEncodedSecurityDesc 1283:DerivativeSecurityXML
        1398:EncodedMktSegmDesc 1402:EncryptedPassword 1404:EncryptedNewPassword 1469:EncodedSecurityListDesc
    """,
    "EXCHANGE": """
        1272:DerivativeSecurityExchange 1301:MarketID
    """,
    "FLOAT": """
        967:StrikeMultiplier 968:StrikeValue 969:MinPriceIncrement 1017:LegOptionRatio 1026:MDEntrySpotRate
        1045:UnderlyingFXRate 1143:MaxPriceVariation 1188:Volatility 1189:TimeToExpiration 1190:RiskFreeRate
        1204:StrikeIncrement 1263:DerivativeStrikeMultiplier 1264:DerivativeStrikeValue
        1266:DerivativeContractMultiplier 1267:DerivativeMinPriceIncrement 1329:FeeMultiplier 1379:LegVolatility
        1382:CurrencyRatio 1383:LegCurrencyRatio
    """,
    "INT": """
        327:HaltReasonInt 532:MassCancelRejectReason 959:StrategyParameterType 963:MDReportID 964:SecurityReportID
        970:PositionLimit 971:NTPositionLimit 975:UnderlyingSettlementType 982:ExpirationQtyType
        992:IndividualAllocType 1002:AllocMethod 1008:SideTrdSubTyp 1009:SideLastQty 1013:SideTrdRegTimestampType
        1021:MDBookType 1023:MDPriceLevel 1024:MDOriginType 1032:OrderHandlingInstSource 1034:DeskTypeSource
        1043:CollApplType 1051:InstrumentPartyRole 1054:InstrumentPartySubIDType 1061:UnderlyingInstrumentPartyRole
        1064:UnderlyingInstrumentPartySubIDType 1070:MDQuoteType 1090:MaxPriceLevels 1094:PegPriceType
        1119:RootPartyRole 1122:RootPartySubIDType 1144:ImpliedMarketIndicator 1152:LegNumber 1153:SettlementCycleNo
        1156:ApplExtID 1159:SettlObligMode 1167:QuoteEntryStatus 1168:TotNoCxldQuotes 1169:TotNoAccQuotes
        1170:TotNoRejQuotes 1172:RespondentType 1173:MDSubBookType 1174:SecurityTradingEvent 1176:StatsType
        1178:MDSecSizeType 1194:ExerciseStyle 1198:ListMethod 1209:TickRuleType 1210:NestedInstrAttribType
        1229:MaturityMonthYearIncrement 1246:DerivativeProduct 1273:DerivativePositionLimit
        1274:DerivativeNTPositionLimit 1287:DerivativeEventType 1295:DerivativeInstrumentPartyRole
        1298:DerivativeInstrumentPartySubIDType 1302:MaturityMonthYearIncrementUnits 1303:MaturityMonthYearFormat
        1304:StrikeExerciseStyle 1305:SecondaryPriceLimitType 1306:PriceLimitType 1313:DerivativeInstrAttribType
        1320:DerivativeListMethod 1323:DerivativePutOrCall 1343:UnderlyingLegPutOrCall 1347:ApplReqType
        1348:ApplResponseType 1349:ApplTotalMessageCount 1354:ApplResponseError 1358:LegPutOrCall 1361:TotNoFills
        1368:TradSesEvent 1373:MassActionType 1374:MassActionScope 1375:MassActionResponse
        1376:MassActionRejectReason 1377:MultilegModel 1378:MultilegPriceMethod 1385:ContingencyType
        1386:ListRejectReason 1388:TrdRepPartyRole 1390:TradePublishIndicator 1400:EncryptedPasswordMethod
        1406:RefApplExtID 1407:DefaultApplExtID 1409:SessionStatus 1411:Nested4PartySubIDType 1417:Nested4PartyRole
        1419:UnderlyingExerciseStyle 1420:LegExerciseStyle 1426:ApplReportType 1428:OrderDelay 1429:OrderDelayUnit
        1431:RefOrdIDReason 1432:OrigCustOrderCapacity 1434:ModelType 1435:ContractMultiplierUnit
        1436:LegContractMultiplierUnit 1437:UnderlyingContractMultiplierUnit 1438:DerivativeContractMultiplierUnit
        1439:FlowScheduleType 1440:LegFlowScheduleType 1441:UnderlyingFlowScheduleType
        1442:DerivativeFlowScheduleType 1443:FillLiquidityInd 1444:SideLiquidityInd 1446:RateSource
        1447:RateSourceType 1464:TargetPartyRole 1470:SecurityListType 1471:SecurityListTypeSource 1473:NewsCategory
        1477:NewsRefType 1478:StrikePriceDeterminationMethod 1479:StrikePriceBoundaryMethod
        1481:UnderlyingPriceDeterminationMethod 1482:OptPayoutType 1484:ComplexEventType
        1487:ComplexEventPriceBoundaryMethod 1489:ComplexEventPriceTimeType 1490:ComplexEventCondition
        1498:StreamAsgnReqType 1502:StreamAsgnRejReason 1503:StreamAsgnAckType 1617:StreamAsgnType
    """,
    "LANGUAGE": """
        1474:LanguageCode
    """,
    "LENGTH": """
        1184:SecurityXMLLen 1277:DerivativeEncodedIssuerLen 1280:DerivativeEncodedSecurityDescLen
        1282:DerivativeSecurityXMLLen 1397:EncodedMktSegmDescLen 1401:EncryptedPasswordLen
        1403:EncryptedNewPasswordLen 1468:EncodedSecurityListDescLen
    """,
    "LOCALMKTDATE": """
        976:QuantityDate 987:UnderlyingSettlementDate 1125:OrigTradeDate 1252:DerivativeMaturityDate
        1276:DerivativeIssueDate 1288:DerivativeEventDate 1345:UnderlyingLegMaturityDate
    """,
    "MONTHYEAR": """
        1226:EndMaturityMonthYear 1241:StartMaturityMonthYear 1251:DerivativeMaturityMonthYear
        1285:DerivativeContractSettlMonth 1339:UnderlyingLegMaturityMonthYear
    """,
    "MULTIPLECHARVALUE": """
        18:ExecInst 286:OpenCloseSettlFlag 291:FinancialStatus 292:CorporateAction 529:OrderRestrictions 546:Scope
        1384:LegExecInst
    """,
    "MULTIPLESTRINGVALUE": """
        1031:CustOrderHandlingInst 1035:DeskOrderHandlingInst
    """,
    "NUMINGROUP": """
        809:NoUsernames 957:NoStrategyParameters 981:NoExpiration 984:NoUnderlyingAmounts 1016:NoSideTrdRegTS
        1018:NoInstrumentParties 1052:NoInstrumentPartySubIDs 1058:NoUndlyInstrumentParties
        1062:NoUndlyInstrumentPartySubIDs 1116:NoRootPartyIDs 1120:NoRootPartySubIDs 1141:NoMDFeedTypes
        1158:NoSettlDetails 1165:NoSettlOblig 1175:NoStatsIndicators 1177:NoOfSecSizes 1201:NoStrikeRules
        1205:NoTickRules 1218:NoDerivativeSecurityAltID 1232:NoExecInstRules 1234:NoLotTypeRules 1235:NoMatchRules
        1236:NoMaturityRules 1237:NoOrdTypeRules 1239:NoTimeInForceRules 1286:NoDerivativeEvents
        1292:NoDerivativeInstrumentParties 1296:NoDerivativeInstrumentPartySubIDs 1309:NoTradingSessionRules
        1310:NoMarketSegments 1311:NoDerivativeInstrAttrib 1312:NoNestedInstrAttrib
        1334:NoUnderlyingLegSecurityAltID 1342:NoOfLegUnderlyings 1351:NoApplIDs 1362:NoFills
        1370:NoNotAffectedOrders 1387:NoTrdRepIndicators 1413:NoNested4PartySubIDs 1414:NoNested4PartyIDs
        1445:NoRateSources 1461:NoTargetPartyIDs 1475:NoNewsRefIDs 1483:NoComplexEvents 1491:NoComplexEventDates
        1494:NoComplexEventTimes 1499:NoAsgnReqs
    """,
    "PERCENTAGE": """
        972:UnderlyingAllocationPercent 1380:DividendYield 1381:LegDividendYield 1451:NotionalPercentageOutstanding
        1452:OriginalNotionalPercentageOutstanding 1455:UnderlyingNotionalPercentageOutstanding
        1456:UnderlyingOriginalNotionalPercentageOutstanding 1457:AttachmentPoint 1458:DetachmentPoint
        1459:UnderlyingAttachmentPoint 1460:UnderlyingDetachmentPoint 1480:StrikePriceBoundaryPrecision
        1488:ComplexEventPriceBoundaryPrecision
    """,
    "PRICE": """
        991:RndPx 1025:FirstPx 1095:PeggedRefPrice 1102:TriggerPrice 1110:TriggerNewPrice 1148:LowLimitPrice
        1149:HighLimitPrice 1150:TradingReferencePrice 1199:CapPrice 1200:FloorPrice 1202:StartStrikePxRange
        1203:EndStrikePxRange 1206:StartTickPriceRange 1207:EndTickPriceRange 1208:TickIncrement
        1221:SecondaryLowLimitPrice 1230:SecondaryHighLimitPrice 1240:SecondaryTradingReferencePrice
        1261:DerivativeStrikePrice 1290:DerivativeEventPx 1321:DerivativeCapPrice 1322:DerivativeFloorPrice
        1340:UnderlyingLegStrikePrice 1364:FillPx 1486:ComplexEventPrice
    """,
    "PRICEOFFSET": """
        1027:MDEntryForwardPoints 1065:BidSwapPoints 1066:OfferSwapPoints 1067:LegBidForwardPoints
        1068:LegOfferForwardPoints 1069:SwapPoints 1071:LastSwapPoints 1073:LegLastForwardPoints
    """,
    "QTY": """
        685:LegOrderQty 983:ExpQty 1020:TradeVolume 1044:UnderlyingAdjustedQuantity 1056:CalculatedCcyLastQty
        1074:LegCalculatedCcyLastQty 1082:SecondaryDisplayQty 1085:DisplayLowQty 1086:DisplayHighQty
        1087:DisplayMinIncr 1088:RefreshQty 1089:MatchIncrement 1112:TriggerNewQty 1138:DisplayQty 1140:MaxTradeVol
        1147:UnitOfMeasureQty 1179:MDSecSize 1192:PriceUnitOfMeasureQty 1224:LegUnitOfMeasureQty 1231:MinLotSize
        1270:DerivativeUnitOfMeasureQty 1316:DerivativePriceUnitOfMeasureQty 1365:FillQty 1418:LegLastQty
        1422:LegPriceUnitOfMeasureQty 1423:UnderlyingUnitOfMeasureQty 1425:UnderlyingPriceUnitOfMeasureQty
    """,
    "SEQNUM": """
        1181:ApplSeqNum 1182:ApplBegSeqNum 1183:ApplEndSeqNum 1350:ApplLastSeqNum 1357:RefApplLastSeqNum
        1399:ApplNewSeqNum
    """,
    "STRING": """
        63:SettlType 139:MiscFeeType 958:StrategyParameterName 960:StrategyParameterValue 961:HostCrossID
        965:SecurityStatus 966:SettleOnOpenFlag 974:UnderlyingCashType 977:ContIntRptID 979:InputSource
        988:UnderlyingSettlementStatus 989:SecondaryIndividualAllocID 990:LegReportID 993:AllocCustomerCapacity
        994:TierCode 996:UnitOfMeasure 997:TimeUnit 998:UnderlyingUnitOfMeasure 999:LegUnitOfMeasure
        1000:UnderlyingTimeUnit 1001:LegTimeUnit 1003:TradeID 1005:SideTradeReportID 1006:SideFillStationCd
        1007:SideReasonCd 1011:MessageEventSource 1014:SideTrdRegTimestampSrc 1019:InstrumentPartyID 1022:MDFeedType
        1030:ReceivedDeptID 1033:DeskType 1039:UnderlyingSettlMethod 1040:SecondaryTradeID 1041:FirmTradeID
        1042:SecondaryFirmTradeID 1053:InstrumentPartySubID 1055:PositionCurrency 1059:UnderlyingInstrumentPartyID
        1063:UnderlyingInstrumentPartySubID 1080:RefOrderID 1096:PegSecurityIDSource 1097:PegSecurityID
        1098:PegSymbol 1099:PegSecurityDesc 1103:TriggerSymbol 1104:TriggerSecurityID 1105:TriggerSecurityIDSource
        1106:TriggerSecurityDesc 1113:TriggerTradingSessionID 1114:TriggerTradingSessionSubID 1117:RootPartyID
        1121:RootPartySubID 1126:OrigTradeID 1127:OrigSecondaryTradeID 1128:ApplVerID 1129:CstmApplVerID
        1130:RefApplVerID 1131:RefCstmApplVerID 1135:RptSys 1136:AllocClearingFeeIndicator 1137:DefaultApplVerID
        1139:ExchangeSpecialInstructions 1142:MatchAlgorithm 1151:SecurityGroup 1160:SettlObligMsgID
        1161:SettlObligID 1163:SettlObligRefID 1166:QuoteMsgID 1180:ApplID 1186:SecurityXMLSchema
        1191:PriceUnitOfMeasure 1196:PriceQuoteMethod 1197:ValuationMethod 1211:NestedInstrAttribValue
        1214:DerivativeSymbol 1215:DerivativeSymbolSfx 1216:DerivativeSecurityID 1217:DerivativeSecurityIDSource
        1219:DerivativeSecurityAltID 1220:DerivativeSecurityAltIDSource 1222:MaturityRuleID 1223:StrikeRuleID
        1227:ProductComplex 1228:DerivativeProductComplex 1247:DerivativeSecurityGroup 1248:DerivativeCFICode
        1249:DerivativeSecurityType 1250:DerivativeSecuritySubType 1254:DerivativeSettleOnOpenFlag
        1256:DerivativeSecurityStatus 1257:DerivativeInstrRegistry 1259:DerivativeStateOrProvinceOfIssue
        1260:DerivativeLocaleOfIssue 1269:DerivativeUnitOfMeasure 1271:DerivativeTimeUnit 1275:DerivativeIssuer
        1279:DerivativeSecurityDesc 1284:DerivativeSecurityXMLSchema 1291:DerivativeEventText
        1293:DerivativeInstrumentPartyID 1294:DerivativeInstrumentPartyIDSource 1297:DerivativeInstrumentPartySubID
        1300:MarketSegmentID 1314:DerivativeInstrAttribValue 1315:DerivativePriceUnitOfMeasure
        1318:DerivativePriceQuoteMethod 1319:DerivativeValuationMethod 1325:ParentMktSegmID 1326:TradingSessionDesc
        1328:RejectText 1330:UnderlyingLegSymbol 1331:UnderlyingLegSymbolSfx 1332:UnderlyingLegSecurityID
        1333:UnderlyingLegSecurityIDSource 1335:UnderlyingLegSecurityAltID 1336:UnderlyingLegSecurityAltIDSource
        1337:UnderlyingLegSecurityType 1338:UnderlyingLegSecuritySubType 1341:UnderlyingLegSecurityExchange
        1344:UnderlyingLegCFICode 1346:ApplReqID 1353:ApplResponseID 1355:RefApplID 1356:ApplReportID
        1363:FillExecID 1366:LegAllocID 1369:MassActionReportID 1371:NotAffectedOrderID 1372:NotAffOrigClOrdID
        1392:UnderlyingLegSecurityDesc 1393:MarketReqID 1394:MarketReportID 1396:MarketSegmentDesc
        1408:DefaultCstmApplVerID 1412:Nested4PartySubID 1415:Nested4PartyID 1421:LegPriceUnitOfMeasure
        1424:UnderlyingPriceUnitOfMeasure 1427:SideExecID 1433:RefApplReqID 1448:ReferencePage
        1449:RestructuringType 1450:Seniority 1453:UnderlyingRestructuringType 1454:UnderlyingSeniority
        1462:TargetPartyID 1465:SecurityListID 1466:SecurityListRefID 1467:SecurityListDesc 1472:NewsID
        1476:NewsRefID 1497:StreamAsgnReqID 1500:MDStreamID 1501:StreamAsgnRptID
    """,
    "TZTIMEONLY": """
        1079:MaturityTime 1212:LegMaturityTime 1213:UnderlyingMaturityTime 1253:DerivativeMaturityTime
        1405:UnderlyingLegMaturityTime
    """,
    "TZTIMESTAMP": """
        1132:TZTransactTime
    """,
    "UTCTIMEONLY": """
        1495:ComplexEventStartTime 1496:ComplexEventEndTime
    """,
    "UTCTIMESTAMP": """
        962:SideTimeInForce 1012:SideTrdRegTimestamp 1145:EventTime 1289:DerivativeEventTime
        1492:ComplexEventStartDate 1493:ComplexEventEndDate 1504:RelSymTransactTime
    """,
    "XMLDATA": """
        1185:SecurityXML
    """,
}

VALUES = """
    18: 0 1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M N O P Q R S T U V W X Y Z a b c d e f g h i j k l m n o p q r
    s t; 22: 1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M; 27: S M L U; 35: 0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L
    M N P Q R S T V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w x y z AA AB AC AD AE AF AG AH AI AJ AK AL
    AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ BA BB BC BD BE BF BG BH BI BJ BK BL BM BN BO BP; 39: 0 1 2 3 4 5 6 7 8
    9 A B C D E; 40: 1 2 3 4 5 6 7 8 9 A B C D E F G H I J K L M P Q; 59: 0 1 2 3 4 5 6 7 8 9; 63: 0 1 2 3 4 5 6 7 8
    9 B C; 65: CD WI; 71: 0 1 2 3 4 5 6; 77: C F O R N D; 87: 0 1 2 3 4 5 6 7; 88: 0 1 2 3 4 5 6 7 8 9 10 11 12 13
    99; 102: 0 1 2 3 4 5 6 7 8 18 99; 103: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 18 99; 139: 1 2 3 4 5 6 7 8 9 10
    11 12 13 14; 150: 0 3 4 5 6 7 8 9 A B C D E F G H I J K L; 160: 0 1 2 3 4 5; 167: UST USTB EUSUPRA FAC FADN PEF
    SUPRA CORP CPP CB DUAL EUCORP EUFRN FRN XLINKD STRUCT YANK FOR CDS FUT OPT OOF OOP IRS OOC CS PS REPO FORWARD
    BUYSELL SECLOAN SECPLEDGE BRADY CAN CTB EUSOV PROV TB TBOND TINT TBILL TIPS TCAL TPRN TNOTE TERM RVLV RVLVTRM
    BRIDGE LOFC SWING DINP DEFLTED WITHDRN REPLACD MATURED AMENDED RETIRED BA BDN BN BOX CAMM CD CL CP DN EUCD EUCP
    LQN MTN ONITE PN STN PZFJ SLQN TD TLQN XCN YCD ABS CMB CMBS CMO IET MBS MIO MPO MPP MPT PFAND TBA AN COFO COFP
    GO MT RAN REV SPCLA SPCLO SPCLT TAN TAXA TECP TMCP TRAN VRDN WAR MF MLEG NONE ? CASH FXNDF FXSPOT FXFWD FXSWAP;
    221: EONIA EUREPO Euribor FutureSWAP LIBID LIBOR MuniAAA OTHER Pfandbriefe SONIA SWAP Treasury; 233: AMT
    AUTOREINV BANKQUAL BGNCON COUPON CURRENCY CUSTOMDATE GEOG HAIRCUT INSURED ISSUE ISSUER ISSUESIZE LOOKBACK LOT
    LOTVAR MAT MATURITY MAXSUBS MINDNOM MININCR MINQTY PAYFREQ PIECES PMAX PPL PPM PPT PRICE PRICEFREQ PROD PROTECT
    PURPOSE PXSOURCE RATING REDEMPTION RESTRICTED SECTOR SECTYPE STRUCT SUBSFREQ SUBSLEFT TEXT TRDVAR WAC WAL WALA
    WAM WHOLE YIELD AVFICO AVSIZE MAXBAL POOL ROLLTYPE REFTRADE REFPRIN REFINT AVAILQTY BROKERCREDIT INTERNALPX
    INTERNALQTY LEAVEQTY MAXORDQTY ORDRINCR PRIMARY SALESCREDITOVR TRADERCREDIT DISCOUNT YTM ABS CPP CPR CPY HEP MHP
    MPR PPC PSA SMM; 235: AFTERTAX ANNUAL ATISSUE AVGMATURITY BOOK CALL CHANGE CLOSE COMPOUND CURRENT GOVTEQUIV
    GROSS INFLATION INVERSEFLOATER LASTCLOSE LASTMONTH LASTQUARTER LASTYEAR LONGAVGLIFE MARK MATURITY NEXTREFUND
    OPENAVG PREVCLOSE PROCEEDS PUT SEMIANNUAL SHORTAVGLIFE SIMPLE TAXEQUIV TENDER TRUE VALUE1_32 WORST; 269: 0 1 2 3
    4 5 6 7 8 9 A B C D E F G H J K L M N O P Q S R T U V Y Z a W X; 276: A B C D E F G H I L J K M N O P Q R S T U
    V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7; 277: A B C D E F G H I J K L M N
    P Q R S T U V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w x y z AA AB AC AD AE AF AG AH AI AJ AK 0 AL
    AM AN AO AP AQ AR AS AT AV 1 2 3 4; 279: 0 1 2 3 4 5; 281: 0 1 2 3 4 5 6 7 8 9 A B C D; 291: 1 2 3; 292: A B C D
    E F G H I J K L M N O P Q R S T U V W; 297: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; 298: 1 2 3 4 5
    6 7 8; 300: 1 2 3 4 5 6 7 8 9 10 11 99 12 13; 301: 0 1 2 3; 321: 0 1 2 3 4 5 6 7 8 9; 323: 1 2 3 4 5 6; 326: 1 2
    3 4 5 6 7 8 9 10 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26; 327: 0 1 2 3 4 5; 336: 1 2 3 4 5 6; 347:
    ISO-2022-JP EUC-JP SHIFT_JIS UTF-8; 378: 0 1 2 3 4 5 6 7 8 9 10 11 99; 380: 0 1 2 3 4 5 6 7 18; 388: 0 1 2 3 4 5
    6 7; 423: 1 2 3 4 5 6 7 8 9 10 11 13 14 15 16 17 18 19; 452: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
    21 22 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58
    59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85; 487: 0 1 2 3 4 5; 495: 0 1 2 3
    4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 999; 529: 1 2 3 4 5 6 7 8 9 A B C D E F;
    530: 1 2 3 4 5 6 7 8 9 A B C; 531: 0 1 2 3 4 5 6 7 8 9 A B C; 532: 0 1 2 3 4 5 6 7 8 9 99 10 11; 559: 0 1 2 3 4
    5; 574: 1 2 3 4 5 6 7 8 M3 M4 M5 M6 A1 A2 A3 A4 A5 AQ S1 S2 S3 S4 S5 M1 M2 MT; 585: 1 2 3 4 5 6 7 8 9 10; 625: 1
    2 3 4 5 6 7; 626: 1 2 3 4 5 6 7 8 9 10 11 12 13 14; 658: 1 2 3 4 5 6 7 8 9 10 11 99; 694: 1 2 3 4 5 6 7 8; 703:
    ALC AS ASF DLV ETR EX FIN IAS IES PA PIT SOD SPL TA TOT TQ TRF TX XM RCV CAA DN EP PNTN DLT CEA SEA; 707: CASH
    CRES FMTM IMTM PREM SMTM TVAR VADJ SETL ICPN ACPN CPN IACPN CMTM ICMTM DLV BANK COLAT; 709: 1 2 3 4 5 6; 712: 1
    2 3 4; 716: ITD RTH ETH EOD; 724: 0 1 2 3 4 5 6; 770: 1 2 3 4 5 6 7; 794: 2 3 4 5 8 9 10 11 12 14; 803: 1 2 3 4
    5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33; 826: 0 1 2 3 4 5; 827: 0 1 2;
    828: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 22 23 48 49 50 51 52 53 54 55 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47; 829: 0 1 2 3 4 5 6 7 8 9 10 11 33 34 35 36 14 15 16 17 18 19 20
    21 22 23 24 25 26 27 28 29 30 31 32 37 38 39; 851: 1 2 3 4; 854: 0 1 2; 856: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14
    15; 865: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 99; 871: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18
    19 20 21 22 23 24 25 26 27 28 29 99; 926: 1 2 3 4 5 6 7 8; 939: 0 1 3; 959: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
    16 17 18 19 20 21 22 23 24 25 26 27 28 29; 965: 1 2; 974: FIXED DIFF; 975: 2 4 5; 980: A D M; 982: 1 2 3 4 5;
    992: 1 2; 996: Bcf MMbbl MMBtu MWh Bbl Bu lbs Gal oz_tr t tn USD Alw; 997: H Min S D Wk Mo Yr; 1002: 1 2 3;
    1015: 0 1; 1021: 1 2 3; 1024: 0 1 2; 1031: ADD AON CNH DIR E.W FOK IO IOC LOO LOC MAO MAC MOO MOC MQT NH OVD PEG
    RSV S.W SCL TMO TS WRK; 1032: 1; 1033: A AR D IN IS O PF PR PT S T; 1034: 1; 1035: ADD AON CNH DIR E.W FOK IO
    IOC LOO LOC MAO MAC MOO MOC MQT NH OVD PEG RSV S.W SCL TMO TS WRK; 1036: 0 1 2; 1043: 0 1; 1046: D M; 1047: O C
    R F; 1048: A P R; 1049: P R; 1070: 0 1 2 3 4; 1081: 0 1 2 3 4; 1083: 1 2; 1084: 1 2 3 4; 1092: 0 1 2 3; 1093: 1
    2 3 4; 1094: 1 2 3 4 5 7 8 9; 1100: 1 2 3 4; 1101: 1 2 3; 1107: 1 2 3 4 5 6; 1108: 0 1 2 3; 1109: U D; 1111: 1
    2; 1115: 1 2 3 4 5 6 7 8 9; 1123: 0 1 2 3 4 5; 1128: 0 1 2 3 4 5 6 7 8 9; 1133: B C D E G; 1144: 0 1 2 3; 1159:
    1 2; 1162: C N R T; 1164: 1 2 3; 1167: 0 5 6 7 12 13 14 15 16; 1172: 1 2 3 4; 1174: 1 2 3 4 5 6 7 8; 1176: 1 2 3
    4; 1178: 1; 1193: C P; 1194: 0 1 2; 1196: STD INX INT PCTPAR; 1197: EQTY FUT FUTDA CDS CDSD; 1198: 0 1; 1209: 0
    1 2 3 4; 1302: 0 1 2 3; 1303: 0 1 2; 1306: 0 1 2; 1347: 0 1 2 3 4 5 6; 1348: 0 1 2; 1354: 0 1 2; 1368: 0 1 2 3;
    1373: 1 2 3; 1374: 1 2 3 4 5 6 7 8 9 10 11 12; 1375: 0 1; 1376: 0 1 2 3 4 5 6 7 8 9 99 10 11; 1377: 0 1 2; 1378:
    0 1 2 3 4 5; 1385: 1 2 3 4; 1386: 0 2 4 5 6 11 99; 1390: 0 1 2; 1395: A D M; 1409: 0 1 2 3 4 5 6 7 8; 1426: 0 1
    2 3; 1429: 0 1 2 3 4 5 10 11 12 13 14 15; 1430: E P X; 1431: 0 1 2; 1432: 1 2 3 4; 1434: 0 1; 1435: 0 1 2; 1439:
    0 1 2 3 4; 1446: 0 1 2 99; 1447: 0 1; 1449: FR MR MM XR; 1450: SD SR SB; 1470: 1 2 3 4; 1471: 1 2 3; 1473: 0 1 2
    3 99; 1477: 0 1 2; 1478: 1 2 3 4; 1479: 1 2 3 4 5; 1481: 1 2 3 4; 1482: 1 2 3; 1484: 1 2 3 4 5 6 7 8 9; 1487: 1
    2 3 4 5; 1489: 1 2 3; 1490: 1 2; 1498: 1 2; 1502: 0 1 2 3 99; 1503: 0 1; 1617: 1 2 3
"""
