import java.io.File;
import java.util.Locale;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

/* Read a log with HdrHistogram's own reader: java HistogramRead LOG PERCENTILE... A line per
 * interval: tag, start and end in ms since the epoch, count, least, largest, the percentiles. */
public class HistogramRead {
    public static void main(String[] arguments) throws Exception {
        HistogramLogReader reader = new HistogramLogReader(new File(arguments[0]));
        EncodableHistogram next;
        while ((next = reader.nextIntervalHistogram()) != null) {
            Histogram histogram = (Histogram) next;
            StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%s %d %d %d %d %d",
                histogram.getTag(), histogram.getStartTimeStamp(), histogram.getEndTimeStamp(),
                histogram.getTotalCount(), histogram.getMinValue(), histogram.getMaxValue()));
            for (int i = 1; i < arguments.length; i++)
                line.append(' ').append(histogram.getValueAtPercentile(Double.parseDouble(arguments[i])));
            System.out.println(line);
        }
    }
}
